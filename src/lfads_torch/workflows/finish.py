"""After training: rates, scores and the page; also what repairs a finished run that lacks them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lfads_torch.errors import LfadsError, RunError
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

RESULTS = ("rates.nc", "scores.json", "report.html")
MERGED = "merged.nc"  # beside them where the trials are chops of a session


def missing_results(run: RunFolder) -> tuple[str, ...]:
    """Which of the results a run lacks."""
    if run.read_record().sessions:
        from lfads_torch.workflows.sessions.finish import missing_of_sessions

        return missing_of_sessions(run)
    return tuple(name for name in RESULTS if not (run.path / name).is_file())


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
    `data_path` are one for each. Raises RunError for a run that has not finished training.
    """
    from lfads_torch.workflows.ensemble import ensemble_note
    from lfads_torch.workflows.fit import Quiet
    from lfads_torch.workflows.stored import read_settings_of

    watcher = observer or Quiet()
    record = run.read_record()
    if record.status != FINISHED:
        raise RunError(
            f"{run.path}: the run is {record.status}, so it has no final rates yet. Go on with "
            f"`lfads resume {run.path}` first."
        )
    recordings, paths = _listed(recording), _listed(data_path)
    if record.sessions:
        from lfads_torch.workflows.sessions.finish import finish_sessions

        if not anew and not missing_results(run):
            return run
        return finish_sessions(run, recordings=recordings, data_paths=paths, observer=watcher)
    steps = (write_rates, _write_scores, _write_page)
    wanted = RESULTS if anew else missing_results(run)
    if not wanted:
        return run
    # What comes later is made from what comes before, so it is made again too.
    first = RESULTS.index(wanted[0])
    with run.lock():
        own = _recording(run, recordings[0] if recordings else None, paths[0] if paths else None)
        for name, step in zip(RESULTS[first:], steps[first:], strict=True):
            watcher.message(f"writing {run.path / name}")
            step(run, own)
        note = ensemble_note(run, read_settings_of(run).inference.ensemble, own)
        if note:
            watcher.message(note)
    return run


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


def _recording(run: RunFolder, recording: Recording | None, data_path: Path | None) -> Recording:
    from lfads_torch.workflows.stored import read_recording_of

    if recording is not None:
        require_own(run, recording)
        return recording
    try:
        return read_recording_of(run, data_path)
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
