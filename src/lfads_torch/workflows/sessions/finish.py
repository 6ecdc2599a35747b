"""After training on several sessions: rates, scores and a page of each, and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import LfadsError, RunError
from lfads_torch.workflows.sessions.folder import read_recordings_of, refresh_sessions
from lfads_torch.workflows.sessions.scores import sessions_as_json

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import Evaluation, Protocol, WhichSet
    from lfads_torch.workflows.fit import Observer

__all__ = ["evaluate_sessions", "finish_sessions"]


def finish_sessions(
    run: RunFolder,
    *,
    recordings: Sequence[Recording] | None = None,
    data_paths: Sequence[Path] = (),
    observer: Observer,
) -> RunFolder:
    """Infer and evaluate every session and write all pages; what was there is written anew."""
    from lfads_torch.workflows.ensemble import ensemble_note
    from lfads_torch.workflows.evaluate import evaluate_run, to_json
    from lfads_torch.workflows.finish import reported_set, require_own, write_rates
    from lfads_torch.workflows.report import report_run
    from lfads_torch.workflows.stored import read_settings_of

    try:
        given = tuple(recordings) if recordings else read_recordings_of(run, data_paths)
    except LfadsError as error:
        raise RunError(
            f"{run.path}: training is finished and stored, but its rates, scores and pages cannot "
            f"be written: {error}"
        ) from error
    evaluations: dict[str, Evaluation] = {}
    with run.lock():
        for own, recording in zip(refresh_sessions(run), given, strict=True):
            require_own(own, recording)
            observer.message(f"writing rates, scores and page of {recording.session} to {own.path}")
            write_rates(own, recording)
            note = ensemble_note(own, read_settings_of(own).inference.ensemble, recording)
            if note:
                observer.message(f"{recording.session}: {note}")
            found = evaluate_run(own, which_set=reported_set(own), recording=recording)
            own.write_scores(to_json(found))
            report_run(own, recording=recording)
            evaluations[recording.session] = found
        run.write_scores(sessions_as_json(evaluations, run.path.name))
        report_run(run)
    return run


def evaluate_sessions(
    run: RunFolder,
    *,
    which_set: WhichSet | None,
    ensemble: int | None = None,
    protocol: Protocol,
) -> dict[str, Evaluation]:
    """All scores of each session on its own trials; nothing is written but current weights."""
    from lfads_torch.workflows.evaluate import evaluate_run
    from lfads_torch.workflows.finish import reported_set

    names = list(run.read_record().sessions)
    each = refresh_sessions(run)
    return {
        name: evaluate_run(
            own,
            which_set=which_set or reported_set(own),
            ensemble=ensemble,
            protocol=protocol,
        )
        for name, own in zip(names, each, strict=True)
    }
