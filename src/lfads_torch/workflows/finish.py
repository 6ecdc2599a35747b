"""After training: rates, scores and the page; also what repairs a finished run that lacks them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lfads_torch.errors import LfadsError, RunError
from lfads_torch.outputs.missing_results import (
    WRITTEN_LAST,
    missing_results,
    noting_faults,
    results_command,
)
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.evaluate import WhichSet
    from lfads_torch.workflows.fit import Observer

__all__ = [
    "MERGED", "RESULTS", "finish_run", "missing_results", "reported_set", "require_own",
    "write_rates",
]  # fmt: skip

Thing = TypeVar("Thing")

RESULTS = WRITTEN_LAST
MERGED = "merged.nc"  # beside them where the trials are chops of a session


def finish_run(
    run: RunFolder,
    *,
    recording: Recording | Sequence[Recording] | None = None,
    data_path: Path | Sequence[Path] | None = None,
    anew: bool = False,
    observer: Observer | None = None,
) -> RunFolder:
    """Infer, evaluate and write the page, as far as they are missing; `anew` writes all three.

    The evaluated trials are those of the test set, or of validation where there is none. A score
    of an earlier rates file is never kept beside new rates. Of several sessions `recording` and
    `data_path` are one for each. Raises RunError for a run that has not finished training. An error
    on the way stays in the record (`results_error`) until the results are written.
    """
    from lfads_torch.workflows.fit import Quiet

    watcher = observer or Quiet()
    record = run.read_record()
    if record.status != FINISHED:
        raise RunError(
            f"{run.path}: the run is {record.status}, so it has no final rates yet. Go on with "
            f"`lfads resume {run.path}` first."
        )
    missing = missing_results(run)
    # Of an attempt that failed among earlier results nobody knows which of them still hold.
    anew = anew or (not missing and record.results_error is not None)
    if not anew and not missing:
        return run
    try:
        # A wrong argument, or another process's lock, is no fault of the results that are there.
        own = _recordings(run, _listed(recording), _listed(data_path))
        with run.lock(), noting_faults(run):
            if record.sessions:
                from lfads_torch.workflows.sessions.finish import finish_sessions

                return finish_sessions(run, own, observer=watcher)
            _write_results(run, own[0], RESULTS if anew else missing, watcher)
    except BaseException:
        if command := _command_left(run):
            watcher.message(f"training is finished and stored; {command} writes what is missing")
        raise
    return run


def _command_left(run: RunFolder) -> str:
    """What is still to be called, said beside an error that must not be lost."""
    try:
        return results_command(run)
    except (LfadsError, OSError):
        return ""


def _write_results(
    run: RunFolder, recording: Recording, wanted: Sequence[str], watcher: Observer
) -> None:
    """Whatever is wanted, and what comes later: it is made from what comes before."""
    from lfads_torch.workflows.ensemble import ensemble_note
    from lfads_torch.workflows.stored import read_settings_of

    steps = (write_rates, _write_scores, _write_page)
    first = RESULTS.index(wanted[0])
    for name, step in zip(RESULTS[first:], steps[first:], strict=True):
        watcher.message(f"writing {run.path / name}")
        step(run, recording)
    note = ensemble_note(run, read_settings_of(run).inference.ensemble, recording)
    if note:
        watcher.message(note)


def _listed(given: Thing | Sequence[Thing] | None) -> tuple[Thing, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Sequence) else (given,)


def reported_set(run: RunFolder) -> WhichSet:
    """The set whose scores a run reports: test, else valid, else (after a refit) train."""
    if named := run.read_record().sessions:
        return reported_set(RunFolder(run.path / next(iter(named.values()))))
    trials = run.read_split().get("trials", {})
    if trials.get("test"):
        return "test"
    return "valid" if trials.get("valid") else "train"


def _recordings(
    run: RunFolder, given: Sequence[Recording], paths: Sequence[Path]
) -> tuple[Recording, ...]:
    """What the run was trained on, one for each session; RunError where it is something else."""
    from lfads_torch.workflows.sessions.folder import read_recordings_of, session_runs

    if given:
        for one, recording in zip(session_runs(run), given, strict=True):
            require_own(one, recording)
        return tuple(given)
    try:
        return read_recordings_of(run, paths)
    except LfadsError as error:
        raise RunError(
            f"{run.path}: training is finished and stored, but its rates, scores and page cannot "
            f"be written: {error}"
        ) from error


def require_own(run: RunFolder, recording: Recording) -> None:
    """Raise RunError where this is not what the run was trained on."""
    from lfads_torch.data.fingerprint import fingerprint

    trained_on = run.read_record().data_fingerprint
    if trained_on and fingerprint(recording) != trained_on:
        raise RunError(
            f"{run.path}: the recording {recording.session} is not what the run was trained on "
            "(the fingerprint differs), so it cannot give the run's own rates and scores. Give "
            "the original one, or infer this one with `lfads infer`."
        )


def write_rates(run: RunFolder, recording: Recording) -> None:
    """Infer the run's own recording into `rates.nc`; chops of a session also merged."""
    from lfads_torch.workflows.infer import infer_to_file, merge_inferred
    from lfads_torch.workflows.stored import read_settings_of

    infer_to_file(run, recording, run.rates_path, is_new=False)
    merge_inferred(run.rates_path, recording, read_settings_of(run), run.path / MERGED)


def _write_scores(run: RunFolder, recording: Recording) -> None:
    from lfads_torch.workflows.evaluate import evaluate_run, to_json

    evaluation = evaluate_run(run, which_set=reported_set(run), recording=recording)
    run.write_scores(to_json(evaluation))


def _write_page(run: RunFolder, recording: Recording) -> None:
    from lfads_torch.workflows.report import report_run

    report_run(run, recording=recording)
