"""After training on several sessions: rates, scores and a page of each, and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfads_torch.workflows.sessions.folder import refresh_sessions
from lfads_torch.workflows.sessions.scores import sessions_as_json

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import Evaluation, Protocol, WhichSet
    from lfads_torch.workflows.fit import Observer

__all__ = ["evaluate_sessions", "finish_sessions"]


def finish_sessions(
    run: RunFolder, recordings: Sequence[Recording], *, observer: Observer
) -> RunFolder:
    """Infer and evaluate every session and write all pages; what was there is written anew.

    The caller holds the run's lock; `recordings` are what it was trained on.
    """
    from lfads_torch.workflows.ensemble import ensemble_note
    from lfads_torch.workflows.evaluate import evaluate_run, to_json
    from lfads_torch.workflows.finish import reported_set, write_rates
    from lfads_torch.workflows.report import report_run
    from lfads_torch.workflows.stored import read_settings_of

    evaluations: dict[str, Evaluation] = {}
    for own, recording in zip(refresh_sessions(run), recordings, strict=True):
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
