"""The validation score: reconstruction of the whole split without dropout or augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.poisson import IndexedCounts
from lfads_torch.model.layout import LinearWeights
from lfads_torch.model.lfads import lfads
from lfads_torch.model.sessions import is_encoded_unit
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.filed import at_hand
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.prepare import fused_for, is_linear_poisson, plain_input
from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from typing import Literal

    from jaxtyping import Bool, Float

    from lfads_torch.model.lfads import ModelOutput
    from lfads_torch.model.noise import Noise
    from lfads_torch.training.filed import Trials
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = ["counted_entries", "trials_at_once", "validation_reconstruction"]

# What fits a processor's caches and small machines; a GPU needs long passes to be busy at all.
_BYTES_AT_ONCE = {"cpu": 256 * 2**20, "cuda": 8 * 2**30}


def trials_at_once(task: Task, n_members: int, *, bytes_at_once: int = 0) -> int:
    """How many trials a forward pass takes within about that much memory; 0: the device's usual."""
    bytes_at_once = bytes_at_once or _BYTES_AT_ONCE.get(task.device.type, _BYTES_AT_ONCE["cpu"])
    model, sizes = task.model, task.sizes
    widest = max(session.n_parameters * session.n_units for session in sizes.sessions)
    encoders = 8 * (model.ic_encoder_size + model.controller_encoder_size)
    decoder = 4 * (model.generator_size + model.n_factors + model.controller_size)
    per_trial = 8 * sizes.n_bins * (encoders + decoder + 3 * widest)
    return max(1, int(bytes_at_once // max(per_trial * n_members, 1)))


def counted_entries(
    task: Task, session: int, which: Literal["all", "encoded", "held_out"]
) -> Bool[Tensor, "T N"]:
    """Entries of the generated bins that a score counts."""
    sizes = task.sizes
    n_generated = sizes.n_bins - task.model.first_generated_bin
    is_encoded = is_encoded_unit(sizes.sessions[session], task.device)
    if which == "all":
        return torch.ones(n_generated, len(is_encoded), dtype=torch.bool, device=task.device)
    if which == "held_out":
        return (~is_encoded).expand(n_generated, -1)
    is_encoded_bin = torch.arange(n_generated, device=task.device) + task.model.first_generated_bin
    return (is_encoded_bin < sizes.n_encoded_bins)[:, None] & is_encoded


@torch.no_grad()
def validation_reconstruction(
    state: PopulationState, task: Task, trials: tuple[Trials, ...], *, seed: int
) -> Float[Tensor, " P"]:
    """Mean nats per counted entry, pooled over all trials of all sessions; NaN if none counts.

    One posterior sample whose noise is keyed by member, epoch and trial, or the posterior mean
    (`score_latent`). Float64 sums, so that batching does not matter beyond rounding.
    """
    weights = ModelWeights.arrange(state.named(task.layout), task.session_names, task.parts)
    total = torch.zeros(state.n_members, dtype=torch.float64, device=task.device)
    n_counted = torch.zeros_like(total)
    size = trials_at_once(task, state.n_members)
    for session, part in enumerate(trials):
        counted = counted_entries(task, session, task.training.score_entries)
        for start in range(0, part.n_trials, size):
            chunk = torch.arange(start, min(start + size, part.n_trials), device=task.device)
            (held,), (index,) = at_hand((part,), (chunk.expand(state.n_members, -1),))
            noise = validation_noise(state, task, held.rows[index], seed)
            output = forward(task, held, index, session, weights, noise)
            nats, present = _scored(
                output, task, held, index=index, session=session, counted=counted
            )
            total += nats
            n_counted += present
    return total / n_counted


def _scored(
    output: ModelOutput,
    task: Task,
    part: ResidentTrials,
    *,
    index: Tensor,
    session: int,
    counted: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sum of nats over counted, present entries of these trials, and their number; both [P]."""
    fused = fused_for(task, part, session)
    if fused is not None:
        readout, first = output.readouts[0], task.model.first_generated_bin
        linear = readout.weights
        assert isinstance(linear, LinearWeights)  # the kernel is chosen for linear read-outs alone
        given = IndexedCounts(part.counts, index, first, part.is_present, None, counted, True)
        return fused.poisson(readout.factors, linear.weight, linear.bias, given)
    if task.kernels.poisson_score is not None and is_linear_poisson(task, session):
        return _scored_by_kernel(output, task, part, index=index, session=session, counted=counted)
    target = part.counts[index][:, :, task.model.first_generated_bin :]
    family = task.observations[session]
    nats = family.negative_log_likelihood(output.parameters[0], target)
    nats = nats + family.constant(target)
    mask = counted.expand_as(nats)
    if part.is_present is not None:
        mask = mask & part.is_present[index][:, :, task.model.first_generated_bin :]
    nats = torch.where(mask, nats, 0.0).double()
    return nats.flatten(1).sum(1), mask.flatten(1).sum(1).double()


def _scored_by_kernel(
    output: ModelOutput,
    task: Task,
    part: ResidentTrials,
    *,
    index: Tensor,
    session: int,
    counted: Tensor,
) -> tuple[Tensor, Tensor]:
    """The same in one pass without parameters; counts are gathered once, for all members alike."""
    readout, first = output.readouts[0], task.model.first_generated_bin
    linear, n_members = readout.weights, len(index)
    assert isinstance(linear, LinearWeights)  # the kernel is chosen for linear read-outs alone
    assert task.kernels.poisson_score is not None  # the caller asked
    target = part.counts[index[0]][None, :, first:]
    mask = counted.expand_as(target)
    if part.is_present is not None:
        mask = mask & part.is_present[index[0]][None, :, first:]
    nats = task.kernels.poisson_score(
        readout.factors,
        linear.weight,
        linear.bias,
        counts=target.expand(n_members, -1, -1, -1),
        is_present=mask.expand(n_members, -1, -1, -1),
        has_gradient=None,
    )
    constant = torch.where(mask, task.observations[session].constant(target), 0.0)
    return nats + constant.double().sum(), mask.sum().double().expand(n_members)


def validation_noise(state: PopulationState, task: Task, rows: Tensor, seed: int) -> Noise:
    """The noise of the score at this epoch."""
    if task.training.score_latent == "mean":
        from lfads_torch.model.noise import Silence

        return Silence()
    streams = Streams(seed, state.members)
    return StreamNoise(streams, "validation", state.epoch, rows, task.dtype)


def forward(
    task: Task,
    part: ResidentTrials,
    index: Tensor,
    session: int,
    weights: ModelWeights,
    noise: Noise,
) -> ModelOutput:
    """The model's output for these trials of one session, nothing dropped or augmented."""
    given = plain_input(task, part, index, session=session)
    return lfads(given, weights, noise, task.model, task.sizes, kernels=task.kernels)
