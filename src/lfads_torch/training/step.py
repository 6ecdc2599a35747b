"""One update of all members: gather a batch, augment, run the model, differentiate, step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.loss.objective import LossTerms, LossWeights, objective
from lfads_torch.model.lfads import lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.hyperparameters import may_act
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.optimiser import adamw_step, gradient_norm
from lfads_torch.training.prepare import (
    augmentations,
    external_inputs,
    gather,
    joint_external_inputs,
    likelihood_constant,
    prepared_batch,
    trial_inputs,
)
from lfads_torch.training.streams import Streams
from lfads_torch.training.trial_ends import shortened

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.training.augment import Augmentation
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = [
    "StepGradient",
    "StepReport",
    "augmentations",
    "external_inputs",
    "gather",
    "joint_external_inputs",
    "likelihood_constant",
    "loss_weights",
    "ramp",
    "step_gradient",
    "training_step",
    "trial_inputs",
]


@dataclass(frozen=True)
class StepReport:
    """What one step saw, per member, before its update."""

    terms: LossTerms
    gradient_norm: Float[Tensor, " P"]
    is_finite: Bool[Tensor, " P"]


def ramp(clock: Int[Tensor, " P"], start: int, increase: int) -> Float[Tensor, " P"]:
    """`clip((clock + 1 - start) / (increase + 1), 0, 1)`."""
    return ((clock.double() + 1.0 - start) / (increase + 1.0)).clamp(0.0, 1.0)


def loss_weights(state: PopulationState, task: Task) -> LossWeights:
    """Each member's weights and ramps at its own clock."""
    own, settings = state.hyperparameters, task.loss
    clock = state.clocks.epochs if settings.ramp_unit == "epochs" else state.clocks.steps
    return LossWeights(
        kl_initial_condition=own.kl_initial_condition_scale,
        kl_inputs=own.kl_input_scale,
        l2={
            name: scale
            for part, scale in own.l2_scales().items()
            for name in task.parts.recurrent_weights(part)
        },
        ramp_kl=ramp(clock, settings.kl_ramp_start, settings.kl_ramp_increase).to(task.dtype),
        ramp_l2=ramp(clock, settings.l2_ramp_start, settings.l2_ramp_increase).to(task.dtype),
    )


def training_step(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Int[Tensor, "P _"], ...],
    *,
    seed: int,
    chain: tuple[Augmentation, ...] | None = None,
) -> StepReport:
    """Advance every active member by one update on its own batch; `state` changes in place.

    `indices[s]` holds each member's positions in session s; sessions without trials in this batch
    have an index of width 0. `chain` are the augmentations in use, where the caller has looked.
    """
    found = step_gradient(state, task, trials, indices, seed=seed, chain=chain)
    return _update(state, task, found)


@dataclass(frozen=True)
class StepGradient:
    """What one batch says about the weights, before anything moves."""

    terms: LossTerms
    scales: LossWeights
    gradient: Float[Tensor, "P n"]


def step_gradient(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Int[Tensor, "P _"], ...],
    *,
    seed: int,
    chain: tuple[Augmentation, ...] | None = None,
) -> StepGradient:
    """Loss of a batch and its gradient; arguments as of `training_step`, and no change of `state`.

    The sum over members is differentiated: each knows its own weights only.
    """
    task, trials = shortened(task, trials, indices)
    used = [s for s, index in enumerate(indices) if index.shape[1]]
    rows = torch.cat([trials[s].rows[indices[s]] for s in used], 1)
    own = state.hyperparameters
    noise = StreamNoise(
        Streams(seed, state.members), "train", state.step, rows, task.dtype,
        own.dropout_rate if may_act(own.dropout_rate) else None,
    )  # fmt: skip
    batch = prepared_batch(state, task, trials, indices, noise, chain=chain)
    named = {**state.leaves(task.layout), **own.own}
    weights = ModelWeights.arrange(named, task.session_names, task.parts)
    output = lfads(batch.given, weights, noise, task.model, task.sizes, kernels=task.kernels)
    scales = loss_weights(state, task)
    terms = objective(
        output,
        batch.targets,
        named,
        observations=tuple(task.observations[s] for s in used),
        priors=task.priors,
        weights=scales,
        settings=task.loss,
    )
    leaves = [named[spec.name] for spec in task.layout.specs]
    parts = torch.autograd.grad(terms.loss.sum(), leaves, allow_unused=True, materialize_grads=True)
    gradient = torch.cat([part.flatten(1) for part in parts], 1)
    if task.is_trained is not None:
        gradient = torch.where(task.is_trained, gradient, 0.0)
    return StepGradient(terms, scales, gradient)


def _update(state: PopulationState, task: Task, found: StepGradient) -> StepReport:
    """Clip and step, for every member whose loss and gradient are finite."""
    terms, gradient = found.terms, found.gradient
    norm = gradient_norm(gradient)
    is_finite = norm.isfinite() & terms.loss.detach().isfinite()
    adamw_step(
        state,
        gradient,
        decay_ramp=found.scales.ramp_l2,
        norm=norm,
        is_active=is_finite & ~state.clocks.is_stopped,
        is_trained=task.is_trained,
        kernels=task.kernels,
    )
    state.step += 1
    detached = LossTerms(
        *(value.detach() for value in (
            terms.loss, terms.reconstruction, terms.kl_initial_condition, terms.kl_inputs, terms.l2,
        ))
    )  # fmt: skip
    return StepReport(detached, norm, is_finite)
