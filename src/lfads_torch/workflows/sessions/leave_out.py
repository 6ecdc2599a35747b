"""Leave-one-session-out: how well a model takes a session that it was not trained on.

Each session in turn is left out: a model of the others is trained, the session is added to it with
all else frozen, and that is scored on its own trials. Beside it stand, paired on the same trials,
the model of all sessions where there is one, and a model of this session alone if asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import (
    DataError,
    DivergenceError,
    OutOfMemoryError,
    OutputError,
    RunError,
    SettingsError,
)
from lfads_torch.outputs.left_out_file import (
    LEFT_OUT,
    LeftOut,
    LeftOutRecord,
    read_left_out,
    write_left_out,
)
from lfads_torch.outputs.run_folder import RunFolder, discard_runs
from lfads_torch.outputs.run_record import FINISHED, INTERRUPTED

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.evaluate import Evaluation
    from lfads_torch.workflows.fit import Observer

__all__ = ["LeaveOutRequest", "Watching", "leave_one_out"]

Watching = Callable[[Path], AbstractContextManager["Observer"]]
_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class LeaveOutRequest:
    """The sessions, how their models are trained, and the folder that gets a folder per run."""

    recordings: tuple[Recording, ...]  # each with its split, units held out
    settings: Settings
    folder: Path
    run: RunFolder | None = None  # the finished run of all of them, to compare with
    only: tuple[str, ...] = ()  # sessions to leave out; none: each of them
    n_trials: int | None = None  # few-shot: training trials of the session that is added
    with_alone: bool = False  # also train a model of each session alone
    added_overrides: tuple[str, ...] = ()  # settings of the added session's training
    paths: tuple[Path, ...] = ()  # of the recordings; none: each run folder stores its own
    read_options: ReadOptions | None = None
    kernels: str = "auto"
    overwrite: bool = False
    resume_if_exists: bool = False
    command: tuple[str, ...] = ()


def leave_one_out(
    request: LeaveOutRequest, watching: Watching, *, say: Callable[[str], None]
) -> LeftOutRecord:
    """Leave out every session in turn; `watching` gives each run its observer.

    A session whose training diverges or does not fit in memory is recorded as failed, and the next
    one begins. After a signal the rest is left for `resume_if_exists`. Raises DataError,
    SettingsError or RunError before anything is written.
    """
    from lfads_torch.workflows.sessions.left_out_runs import finished_updates, train_left_out
    from lfads_torch.workflows.sessions.left_out_scores import evaluate_left_out, pooled, score_rows

    record = _begin(request, say)
    evaluated: dict[str, Mapping[str, Evaluation]] = {}
    for n, each in enumerate(record.sessions):
        say(f"{each.session}, {n + 1} of {len(record.sessions)}")
        try:
            stopped = train_left_out(request, each, watching)
        except (DivergenceError, OutOfMemoryError) as error:
            say(str(error))
            record = record.having(n, status="failed", reason=str(error), scores=())
            write_left_out(request.folder / LEFT_OUT, record)
            continue
        if stopped is not None:
            record = record.having(n, status=INTERRUPTED, reason=stopped)
            write_left_out(request.folder / LEFT_OUT, record)
            return record
        found = evaluate_left_out(request, each)
        evaluated[each.session] = found
        record = record.having(
            n, status=FINISHED, reason=None, updates=finished_updates(request, each),
            set=found["added"].set, scores=score_rows(found),
        )  # fmt: skip
        write_left_out(request.folder / LEFT_OUT, record)
    if all(each.status == FINISHED for each in record.sessions):
        together = pooled([evaluated[each.session] for each in record.sessions])
        record = replace(record, pooled=together)
        write_left_out(request.folder / LEFT_OUT, record)
    return record


def _begin(request: LeaveOutRequest, say: Callable[[str], None]) -> LeftOutRecord:
    """The record on disk, or a new one."""
    from lfads_torch.workflows.sessions.left_out_identity import require_same

    _require_sessions(request)
    new = _new_record(request)
    path = request.folder / LEFT_OUT
    before = read_left_out(path) if path.is_file() else None
    if before is not None and request.resume_if_exists:
        require_same(before, new, request.folder)
        return replace(before, pooled=())
    _require_free(request, new, before)
    kinds = ", ".join(new.sessions[0].runs)
    listed = ", ".join(each.session for each in new.sessions)
    say(f"left out in turn: {listed}; runs of each: {kinds}")
    request.folder.mkdir(parents=True, exist_ok=True)
    if before is not None:
        # Before the new record: a resumption takes what is finished beside it as its own.
        discard_runs(request.folder / place for s in before.sessions for place in s.runs.values())
    write_left_out(path, new)
    return new


def _new_record(request: LeaveOutRequest) -> LeftOutRecord:
    from lfads_torch.workflows.sessions.folder import folder_names
    from lfads_torch.workflows.sessions.left_out_identity import begun_with

    kinds = ("without", "added", *(["alone"] if request.with_alone else []))
    names = [each.session for each in request.recordings]
    places = {name: Path(place).name for name, place in folder_names(names).items()}
    return LeftOutRecord(
        command=request.command,
        run=str(request.run.path.resolve()) if request.run else None,
        n_trials=request.n_trials,
        begun_with=begun_with(request),
        sessions=tuple(
            LeftOut(session=name, runs={kind: f"{kind}_{places[name]}" for kind in kinds})
            for name in request.only or names
        ),
    )


def _require_sessions(request: LeaveOutRequest) -> None:
    from lfads_torch.workflows.sessions.sizes import require_one_model

    names = [each.session for each in request.recordings]
    if len(names) < _FEWEST:
        raise DataError(
            f"{len(names)} {'session' if len(names) == 1 else 'sessions'} ({', '.join(names)}): "
            f"leaving one out takes at least {_FEWEST}, so that two remain to share a model. Give "
            "more recordings; of two, fit one with --set sessions.readin_size=10 and add the "
            "other with `lfads add-session`."
        )
    require_one_model(request.recordings)
    unknown = [name for name in request.only if name not in names]
    if unknown:
        raise SettingsError(
            f"only (--only) names {unknown[0]!r}; the sessions are {', '.join(names)}."
        )
    for each in request.recordings:
        split = each.split
        if split is None or split.is_encoded.all():
            raise DataError(
                f"{each.session}: no unit is held out, so that nothing says how well the session "
                "is taken: it would be scored by units that its own read-in sees. Hold units out: "
                "split.held_out_fraction=0.25 (--held-out 0.25); a run is fitted so."
            )
    _require_training_of_added(request)


def _require_training_of_added(request: LeaveOutRequest) -> None:
    """What would else be refused only when the first model is trained."""
    from lfads_torch.config.read import read_settings
    from lfads_torch.workflows.device import choose_device
    from lfads_torch.workflows.sessions.add import names_of_training

    given = names_of_training(request.added_overrides)
    read = read_settings(None, "small", request.added_overrides)
    choose_device(request.settings.run)
    asked = request.n_trials
    for each in request.recordings:
        if each.split is None or (request.only and each.session not in request.only):
            continue
        n_train = len(each.split.trials("train"))
        if asked is not None and not 1 <= asked <= n_train:
            raise SettingsError(
                f"n_trials (--trials) is {asked}; {each.session} has {n_train} training trials, "
                "so 1 to "
                f"{n_train} is needed."
            )
    sessions = read.sessions if "sessions.initialisation" in given else request.settings.sessions
    if sessions.initialisation != "random":
        _require_averages(request)


def _require_averages(request: LeaveOutRequest) -> None:
    """Raise DataError where training trials that align an added session do not fit in memory.

    The added session gives its own, and those that it is added to all of theirs.
    """
    for each in request.recordings:
        counts, split = each.in_file, each.split
        if counts is None or split is None:
            continue
        n_trials = request.n_trials if request.only == (each.session,) else None
        train = split.trials("train")[:n_trials]
        needed = counts[train][:, : split.n_encoded_bins, split.is_encoded]
        if needed.nbytes > counts.most_bytes:
            raise DataError(
                f"{each.session}: adding a session is to begin from averages of its and the "
                f"others' training trials, which take {needed.nbytes / 1e9:.3g} GB at once; "
                f"{counts.most_bytes / 1e9:.3g} GB may be taken. Allow more (run.memory_gb), read "
                "all of it (data.read_by=memory), or begin at random "
                "(sessions.initialisation=random)."
            )


def _require_free(
    request: LeaveOutRequest, new: LeftOutRecord, before: LeftOutRecord | None
) -> None:
    folder = request.folder
    if before is not None and not request.overwrite:
        n_done = sum(each.status == FINISHED for each in before.sessions)
        raise RunError(
            f"{folder}: holds sessions left out already ({n_done} of {len(before.sessions)} are "
            "finished). Choose another folder (--out), go on (--resume-if-exists; "
            "resume_if_exists=True in Python), or replace it (--overwrite; overwrite=True)."
        )
    if folder.is_file():
        raise OutputError(f"{folder}: is a file; a folder is needed. Choose another (--out).")
    known = [*new.sessions, *(before.sessions if before is not None else ())]
    ours = {LEFT_OUT, *(place for each in known for place in each.runs.values())}
    found = sorted(os.listdir(folder)) if folder.exists() else []
    strange = [name for name in found if name not in ours and ".part" not in name]
    if strange or (found and before is None and set(found) - {LEFT_OUT}):
        listed = ", ".join((strange or found)[:3])
        raise OutputError(
            f"{folder}: the folder holds {listed}; for a run per session an empty one is needed. "
            "Choose another (--out), or move that away."
        )
