"""`lfads leave-one-out`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.run_arguments import RunArguments, TrainingArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments
from lfads_torch.cli.streams import aligned, say
from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lfads_torch.cli.watch import Watch
    from lfads_torch.outputs.left_out_file import LeftOut, LeftOutRecord
    from lfads_torch.workflows.sessions.leave_out import LeaveOutRequest

__all__ = ["leave_one_out", "left_out_table"]


def leave_one_out(
    source: Annotated[
        Path, Parameter(help="folder of a finished run of several sessions, or the first recording")
    ],
    /,
    *more: Annotated[Path, Parameter(help="further recordings, at least three in all")],
    only: Annotated[
        str, Parameter(help="sessions to leave out: monday,friday; without it, each in turn")
    ] = "",
    trials: Annotated[
        int | None, Parameter(help="few-shot: training trials of the session that is added")
    ] = None,
    alone: Annotated[
        bool, Parameter(help="also train a model of each session alone, of as many updates")
    ] = False,
    added_overrides: Annotated[
        tuple[str, ...],
        Parameter(name="--set-added", help="section.key=value for the added session's training"),
    ] = (),
    run_arguments: RunArguments = RunArguments(),  # noqa: B008 - frozen
    setting_arguments: SettingArguments = SettingArguments(),  # noqa: B008 - frozen
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Train a model without each session in turn, add that session, and score it.

    All of the added session's model but its read-in and read-out keeps the others' weights; the
    scores are of its test trials (validation where there are none) and held-out units. With a run,
    its recordings, split and settings are used, and its model of all sessions is compared with.
    """
    from lfads_torch.workflows.sessions.leave_out import leave_one_out as leave_out

    asked = {
        "only": tuple(name.strip() for name in only.split(",") if name.strip()),
        "n_trials": trials,
        "with_alone": alone,
        "added_overrides": added_overrides,
    }
    given = TrainingArguments(
        run=run_arguments, settings=setting_arguments, split=split_arguments, reader=reader
    )
    folder = run_arguments.folder(source, "_leave_one_out")
    request = _request((source, *more), folder, given, asked)
    is_quiet = run_arguments.quiet

    @contextmanager
    def watching(place: Path) -> Iterator[Watch]:
        from lfads_torch.cli.outcome import recorded_in
        from lfads_torch.cli.watch import Watch

        has_tensorboard = run_arguments.tensorboard
        with (
            recorded_in(place / "log.txt"),
            Watch(place, is_quiet=is_quiet, has_tensorboard=has_tensorboard) as watch,
        ):
            yield watch

    record = leave_out(request, watching, say=(lambda text: None) if is_quiet else say)
    return _print(record, folder)


def _request(
    sources: tuple[Path, ...], folder: Path, given: TrainingArguments, asked: Mapping[str, object]
) -> LeaveOutRequest:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import Quiet
    from lfads_torch.workflows.sessions.leave_out_source import request_of_files, request_of_run

    class Lines(Quiet):
        """Says how the files are read and divided."""

        def message(self, text: str) -> None:
            say(text)

    if given.run.warm_start() is not None:
        raise SettingsError(
            "--from: models that leave a session out start anew; weights of another run may have "
            "seen the session that is left out."
        )
    if not sources[0].is_dir():
        settings = given.read_settings({})
        observer = Quiet() if given.run.quiet else Lines()
        return request_of_files(given.request(sources, folder, settings), observer, **asked)
    _refuse_beside_a_run(sources, given)
    run = given.run
    named = (f"{name}={value}" for name, (_, value) in run.settings().items() if value is not None)
    return request_of_run(
        RunFolder.open(sources[0]),
        folder,
        overrides=(*given.settings.overrides, *named),
        kernels=run.kernels,
        overwrite=run.overwrite,
        resume_if_exists=run.resume_if_exists,
        command=tuple(sys.argv),
        **asked,
    )


def _refuse_beside_a_run(sources: tuple[Path, ...], given: TrainingArguments) -> None:
    others = {
        "further recordings": len(sources) > 1,
        "--session-names": bool(given.run.session_names),
        "--settings": given.settings.settings is not None,
        "--preset": given.settings.preset != SettingArguments().preset,
        "options of the split": given.split != SplitArguments(),
        "options of the reader": given.reader != ReaderArguments(),
    }
    found = [name for name, is_given in others.items() if is_given]
    if found:
        raise SettingsError(
            f"{sources[0]}: {', '.join(found)} beside a run: its own recordings, split and "
            "settings are used. Leave that away, or give the files instead of the run."
        )


def left_out_table(record: LeftOutRecord) -> str:
    """Co-smoothing of every session, and the differences to what it is compared with."""
    others = [kind for kind in ("together", "alone") if any(_row(s, kind) for s in record.sessions)]
    head = ["session", "set", "trials", "added", ""]
    for kind in others:
        head += [kind, "difference", ""]
    lines = [_line(each.session, each.status, each.scores, others) for each in record.sessions]
    if record.pooled:
        lines.append(_line("pooled", "finished", record.pooled, others))
    return aligned([head, *lines])


def _row(each: LeftOut, kind: str) -> bool:
    return any(kind in row for row in each.scores)


def _line(
    name: str, status: str, scores: tuple[Mapping[str, object], ...], others: list[str]
) -> list[str]:
    from lfads_torch.workflows.sessions.left_out_scores import CO_SMOOTHING

    row = next((each for each in scores if each["name"] == CO_SMOOTHING), None)
    if row is None:
        return [name, "-", "-", status if status != "finished" else "no score", ""] + [
            "-", "-", ""
        ] * len(others)  # fmt: skip
    cells = [name, str(row["set"]), str(row["n_trials"]), f"{row['added']:.4f}", _interval(row)]
    for kind in others:
        pair = row.get(kind)
        if isinstance(pair, dict):
            cells += [f"{pair['value']:.4f}", f"{pair['difference']:+.4f}", _interval(pair, "+")]
        else:
            cells += ["-", "-", ""]
    return cells


def _interval(row: Mapping[str, object], sign: str = "") -> str:
    if row["low"] is None:
        return ""
    return f"({row['low']:{sign}.4f} to {row['high']:{sign}.4f})"


def _print(record: LeftOutRecord, folder: Path) -> int:
    from lfads_torch.cli.outcome import INTERRUPTED_CODE, TERMINATED_CODE
    from lfads_torch.outputs.left_out_file import LEFT_OUT

    print("co-smoothing, bits/spike; difference: the added session's less the other's")
    print(left_out_table(record))
    for each in record.sessions:
        if each.status == "interrupted":
            say("stopped; go on with the same command and --resume-if-exists")
            return TERMINATED_CODE if each.reason == "SIGTERM" else INTERRUPTED_CODE
    print(aligned([("all scores:", str(folder / LEFT_OUT))]))
    if not any(each.scores for each in record.sessions):
        say(f"no session has a score; {folder / LEFT_OUT} says why")
        return 1
    failed = [each.session for each in record.sessions if each.status == "failed"]
    if failed:
        say(f"{', '.join(failed)}: training failed; {folder / LEFT_OUT} says why")
    return 1 if failed else 0
