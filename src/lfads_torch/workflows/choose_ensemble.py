"""Which models of a run an ensemble averages: forward selection on its validation trials.

Chosen once per run, by the run's own recording, and kept in `ensemble.json`; whatever recording is
inferred later, the same models are averaged. Test trials are never looked at.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import LfadsError, RunError
from lfads_torch.outputs.ensemble_file import (
    ENSEMBLE,
    EnsembleRecord,
    read_ensemble,
    write_ensemble,
)

if TYPE_CHECKING:
    from lfads_torch.analysis.forward_selection import Chosen
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.kept_models import KeptModel
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["candidates_of", "chosen_models"]


def chosen_models(run: RunFolder, recording: Recording | None = None) -> EnsembleRecord:
    """As stored, or chosen now and stored where the folder can be written.

    `recording` stands for the run's own where that has moved. Without validation trials there is
    nothing to choose by: models are then in the order of the file. Where the run's recording is
    needed and gone, the models are those that its own `rates.nc` averages (of a run that chose them
    in an earlier way); RunError where there is none.
    """
    models = candidates_of(run)
    ids, scores = tuple(m.member for m in models), tuple(m.score for m in models)
    stored = read_ensemble(run.path / ENSEMBLE)
    if stored is not None and stored.is_of(ids, scores):
        return stored
    if len(ids) == 1 or not run.read_split().get("trials", {}).get("valid"):
        return EnsembleRecord(members=ids, nats=(), candidates=ids, scores=scores, n_trials=0)
    try:
        own = _own_recording(run, recording)
    except RunError:
        members = _of_rates(run, ids)
        if not members:
            raise
        return EnsembleRecord(members=members, nats=(), candidates=ids, scores=scores, n_trials=0)
    n_trials, found = _selected(run, own, ids)
    record = EnsembleRecord(
        members=tuple(ids[n] for n in found.positions),
        nats=found.losses,
        candidates=ids,
        scores=scores,
        n_trials=n_trials,
    )
    write_ensemble(run.path / ENSEMBLE, record)
    return record


def candidates_of(run: RunFolder) -> list[KeptModel]:
    """Best first. One without a score never counts beside those with one."""
    from lfads_torch.workflows.kept_models import every_model

    kept = sorted(every_model(run), key=lambda model: model.score)
    return [model for model in kept if math.isfinite(model.score)] or kept


def _own_recording(run: RunFolder, given: Recording | None) -> Recording:
    """With the run's split."""
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.data.split_file import read_split
    from lfads_torch.workflows.stored import read_recording_of

    try:
        return read_recording_of(run)
    except LfadsError as error:
        if given is not None and fingerprint(given) == run.read_record().data_fingerprint:
            return given.with_split(read_split(run.split_path, given))
        raise RunError(
            f"{run.path}: the models of an ensemble are chosen by its validation trials, and they "
            f"are not at hand: {error} Or take the best model alone: an ensemble of 1."
        ) from error


def _of_rates(run: RunFolder, ids: Sequence[int]) -> tuple[int, ...]:
    """The models that the run's rates file averages; none where it has none, or they are gone."""
    from lfads_torch.outputs.rates_file import open_rates

    if not run.rates_path.is_file():
        return ()
    try:
        with open_rates(run.rates_path) as rates:
            found = rates.attrs.get("ensemble_members", rates.attrs.get("member", ()))
    except LfadsError:
        return ()
    members = tuple(int(each) for each in np.atleast_1d(found))
    return members if set(members) <= set(ids) else ()


def _selected(run: RunFolder, recording: Recording, ids: Sequence[int]) -> tuple[int, Chosen]:
    """What forward selection takes by validation trials, and how many they are: of a recording
    that is read by trial, as many as fit at once."""
    from lfads_torch.analysis.forward_selection import forward_selection, prediction_nats
    from lfads_torch.training.score import counted_entries
    from lfads_torch.workflows.families import is_spiking_unit
    from lfads_torch.workflows.sample import as_many_as_fit
    from lfads_torch.workflows.stored import load_models

    models = load_models(run, recording, ids)
    best = models[0]
    aligned = best.card.aligned(recording)
    assert aligned.split is not None  # `_own_recording` gives it one
    n_stored = run.read_record().n_trials_at_once
    positions = as_many_as_fit(aligned, aligned.split.trials("valid"), n_stored)
    settings, task = best.settings, best.assembly.task
    counts = aligned.counts[positions][:, settings.model.first_generated_bin :]
    with _mean_counts(models, positions) as predictions:
        loss = prediction_nats(
            counts.astype(np.float64),
            is_counted=counted_entries(task, 0, settings.training.score_entries).cpu().numpy(),
            is_spiking=is_spiking_unit(best),
            reference=np.array(predictions[0]),
        )
        return len(positions), forward_selection(predictions, loss)


@contextmanager
def _mean_counts(
    models: Sequence[TrainedModel], positions: NDArray[np.int64]
) -> Iterator[list[NDArray[np.float32]]]:
    """Each model's means per bin [B, T, N] of these trials, in files: together they may be large.

    They are the posterior averages that `lfads infer` gives.
    """
    from lfads_torch.workflows.scores.signals import mean_counts

    with tempfile.TemporaryDirectory(prefix="lfads-", ignore_cleanup_errors=True) as folder:
        found = []
        for model in models:
            path = Path(folder) / f"{model.member}.npy"
            np.save(path, mean_counts(model, positions))
            found.append(np.load(path, mmap_mode="r"))
        yield found
        found.clear()
