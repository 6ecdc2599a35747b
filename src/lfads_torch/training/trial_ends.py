"""Batches of trials that end at different bins: only as many bins as the longest one has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Int

    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.task import Task

__all__ = ["generated_ends", "shortened", "trial_ends"]


def trial_ends(
    trials: tuple[ResidentTrials, ...], indices: tuple[Int[Tensor, "P _"], ...]
) -> Int[Tensor, "P B"] | None:
    """Recording bins of all trials of the batch; None where every trial has all of them."""
    if all(part.n_trial_bins is None for part in trials):
        return None
    ends = [
        torch.full_like(index, part.counts.shape[1])
        if part.n_trial_bins is None
        else part.n_trial_bins[index]
        for part, index in zip(trials, indices, strict=True)
    ]
    return torch.cat(ends, 1)


def generated_ends(
    trials: ResidentTrials, index: Int[Tensor, "P B"], task: Task
) -> Int[Tensor, "P B"] | None:
    """Generated bins of these trials; None where every trial has all of them."""
    if trials.n_trial_bins is None:
        return None
    return trials.n_trial_bins[index] - task.model.first_generated_bin


def shortened(
    task: Task, trials: tuple[ResidentTrials, ...], indices: tuple[Int[Tensor, "P _"], ...]
) -> tuple[Task, tuple[ResidentTrials, ...]]:
    """Task and trials without the bins that lie beyond the longest trial of the batch.

    Random numbers go by place in the trial, so those of the bins that stay do not change.
    """
    ends = trial_ends(trials, indices)
    if ends is None:
        return task, trials
    longest = int(ends.max())
    if longest == task.sizes.n_bins:
        return task, trials
    # Trials of their own lengths have no forward bins: all that is left is encoded.
    sizes = replace(task.sizes, n_bins=longest, n_encoded_bins=longest)
    return replace(task, sizes=sizes), tuple(_first_bins(part, longest) for part in trials)


def _first_bins(trials: ResidentTrials, n_bins: int) -> ResidentTrials:
    def cut(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[:, :n_bins]

    return replace(
        trials,
        counts=trials.counts[:, :n_bins],
        is_present=cut(trials.is_present),
        external_inputs=cut(trials.external_inputs),
    )
