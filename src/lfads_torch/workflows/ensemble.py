"""Ensembles: the rates of a run's best models of different lines, averaged. Nothing else is.

Factors, inferred inputs and initial conditions of two models have axes of their own, so that no
average over models means anything; rates are in the units of the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.kept_models import kept_models

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.posterior import PosteriorAverages, PosteriorOptions
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["EnsembleAverages", "ensemble_averages", "ensemble_note", "load_ensemble"]


@dataclass(frozen=True, kw_only=True)
class EnsembleAverages:
    """A chunk of trials: everything of the best model, and the rates of all models."""

    best: PosteriorAverages
    mean_counts: Float[Tensor, "B T N"]  # mean over models of their posterior means, per bin
    member_std: Float[Tensor, "B T N"] | None  # their spread (population); None for one model


def load_ensemble(
    run: RunFolder, recording: Recording, *, member: int | None = None, n_models: int | None = None
) -> tuple[TrainedModel, ...]:
    """The models to average, the best first; all share the recording's trials on the device.

    One model where a member is asked for, else `n_models` (None: as many as the run's
    `inference.ensemble`), or as many as there are (`ensemble_note` says so).
    """
    from lfads_torch.workflows.stored import load_models, read_settings_of

    if member is not None:
        if n_models is not None and n_models > 1:
            raise SettingsError(
                f"member {member} is one model, and an ensemble of {n_models} averages several. "
                "Leave one of them out."
            )
        return load_models(run, recording, (member,))
    n_wanted = read_settings_of(run).inference.ensemble if n_models is None else n_models
    if n_wanted < 1:
        raise SettingsError(
            f"an ensemble of {n_wanted} models; a whole number of at least 1 is needed."
        )
    return load_models(run, recording, _candidates(run)[:n_wanted])


def ensemble_note(run: RunFolder, n_wanted: int) -> str | None:
    """What to say where a run keeps fewer models than an ensemble asks for."""
    if n_wanted <= 1:
        return None
    there = _candidates(run)
    if n_wanted <= len(there):
        return None
    listed = ", ".join(str(member) for member in there)
    if len(there) == 1:
        return (
            f"an ensemble of {n_wanted} models was asked for, but {run.path.name} keeps one alone "
            f"(member {listed}): nothing is averaged"
        )
    return (
        f"an ensemble of {n_wanted} models was asked for, but {run.path.name} keeps {len(there)} "
        f"of different lines: members {listed} are averaged"
    )


def _candidates(run: RunFolder) -> list[int]:
    """Members in order of their scores. One without a score never counts beside those with one."""
    kept = kept_models(run)
    scored = [model for model in kept if math.isfinite(model.score)]
    return [model.member for model in (scored or kept)]


def ensemble_averages(
    models: Sequence[TrainedModel],
    trials: ResidentTrials,
    options: PosteriorOptions,
    *,
    is_visible: Bool[Tensor, "B E N"] | None = None,
) -> Iterator[EnsembleAverages]:
    """Chunk by chunk of trials, one model after another; memory does not grow with either.

    A model's numbers are those that it gives alone.
    """
    import torch

    from lfads_torch.outputs.posterior import posterior_averages, trials_per_chunk

    task = models[0].assembly.task
    size = trials_per_chunk(task, options)
    for start in range(0, trials.n_trials, size):
        rows = torch.arange(start, min(start + size, trials.n_trials), device=task.device)
        part = trials.take(rows)
        visible = None if is_visible is None else is_visible[rows]
        found = (
            next(posterior_averages(each.weights, each.member, task, part, options,
                                    is_visible=visible))
            for each in models
        )  # fmt: skip
        yield _averaged(found, start=start)


def _averaged(found: Iterator[PosteriorAverages], *, start: int) -> EnsembleAverages:
    """Mean and spread of the rates by Welford's recurrence, so that one model is held at a time."""
    import torch

    best = replace(next(found), start=start)
    mean = best.mean_counts.double()
    squares = torch.zeros_like(mean)
    n = 1
    for n, each in enumerate(found, start=2):
        change = each.mean_counts.double() - mean
        mean = mean + change / n
        squares = squares + change * (each.mean_counts.double() - mean)
    if n == 1:
        return EnsembleAverages(best=best, mean_counts=best.mean_counts, member_std=None)
    dtype = best.mean_counts.dtype
    return EnsembleAverages(
        best=best, mean_counts=mean.to(dtype), member_std=(squares / n).sqrt().to(dtype)
    )
