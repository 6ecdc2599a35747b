"""Runs whose ensemble the test decides, not the validation trials."""

from __future__ import annotations

import shutil
from pathlib import Path

from lfads_torch.outputs.ensemble_file import EnsembleRecord, write_ensemble
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.choose_ensemble import candidates_of

__all__ = ["with_choice"]


def with_choice(run: RunFolder, folder: Path, taken: slice) -> RunFolder:
    """A copy with a choice that we make: what is averaged does not depend on why."""
    shutil.copytree(run.path, folder)
    models = candidates_of(run)
    ids = tuple(model.member for model in models)
    nats = tuple(0.5 - 0.01 * n for n in range(len(ids)))
    record = EnsembleRecord(
        members=ids[taken],
        nats=nats[taken],
        candidates=ids,
        scores=tuple(model.score for model in models),
        n_trials=3,
    )
    assert write_ensemble(folder / "ensemble.json", record)
    return RunFolder(folder)
