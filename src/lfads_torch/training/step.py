"""One update of all members: gather a batch, augment, run the model, differentiate, step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.loss.objective import LossTerms, LossWeights, objective
from lfads_torch.loss.reconstruction import Target
from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.augment import SessionBatch
from lfads_torch.training.augmentations import ordered_augmentations
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.optimiser import adamw_step, gradient_norm
from lfads_torch.training.streams import Streams
from lfads_torch.training.trial_ends import generated_ends, shortened, trial_ends

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.training.augment import Augmentation
    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = [
    "StepReport",
    "augmentations",
    "external_inputs",
    "gather",
    "joint_external_inputs",
    "likelihood_constant",
    "loss_weights",
    "ramp",
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
        l2=own.l2_scales(),
        ramp_kl=ramp(clock, settings.kl_ramp_start, settings.kl_ramp_increase).to(task.dtype),
        ramp_l2=ramp(clock, settings.l2_ramp_start, settings.l2_ramp_increase).to(task.dtype),
    )


def augmentations(task: Task, own: Hyperparameters) -> tuple[Augmentation, ...]:
    """The augmentations in use, in order."""
    chain = ordered_augmentations(task.augmentation, task.model.first_generated_bin)
    return tuple(each for each in chain if each.is_active(own))


def gather(
    trials: ResidentTrials, index: Int[Tensor, "P B"], task: Task, *, session: int
) -> SessionBatch:
    """Each member's own trials of one session, by their positions."""
    counts = trials.counts[index]
    is_encoded = torch.zeros(counts.shape[-1], dtype=torch.bool, device=counts.device)
    is_encoded[list(task.sizes.sessions[session].encoded_units)] = True
    external = trials.external_inputs
    return SessionBatch(
        counts=counts,
        constant=trials.constant[index],
        is_encoded_unit=is_encoded,
        n_encoded_bins=task.sizes.n_encoded_bins,
        first_bin=task.model.first_generated_bin,
        present=None if trials.is_present is None else trials.is_present[index],
        external_inputs=None if external is None else external[index],
        n_trial_bins=None if trials.n_trial_bins is None else trials.n_trial_bins[index],
    )


def external_inputs(
    trials: tuple[ResidentTrials, ...], indices: tuple[Int[Tensor, "P _"], ...], task: Task
) -> Float[Tensor, "P B L X"] | None:
    """External inputs of all bins for all trials of the batch."""
    if task.sizes.n_external_inputs == 0:
        return None
    parts = [
        part.external_inputs[index]
        for part, index in zip(trials, indices, strict=True)
        if part.external_inputs is not None
    ]
    return torch.cat(parts, 1)


def trial_inputs(
    trials: tuple[ResidentTrials, ...], indices: tuple[Int[Tensor, "P _"], ...], task: Task
) -> Float[Tensor, "P B C"] | None:
    """Inputs that are constant over a trial, for all trials of the batch."""
    if task.sizes.n_trial_inputs == 0:
        return None
    parts = [
        part.trial_inputs[index]
        for part, index in zip(trials, indices, strict=True)
        if part.trial_inputs is not None
    ]
    return torch.cat(parts, 1)


def joint_external_inputs(batches: list[SessionBatch]) -> Float[Tensor, "P B L X"] | None:
    """As `external_inputs`, of batches that are gathered and augmented already."""
    parts = [batch.external_inputs for batch in batches if batch.external_inputs is not None]
    return torch.cat(parts, 1) if parts else None


def likelihood_constant(batch: SessionBatch, family: Observation) -> Float[Tensor, "P B"]:
    """Of the batch's target: the one that was gathered, or anew where the counts have changed."""
    if batch.constant is not None:
        return batch.constant
    constant = family.constant(batch.target.double())
    if batch.is_present is not None:
        constant = torch.where(batch.is_present, constant, 0.0)
    return constant.sum((2, 3)).to(batch.counts.dtype)


def training_step(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Int[Tensor, "P _"], ...],
    *,
    seed: int,
) -> StepReport:
    """Advance every active member by one update on its own batch; `state` changes in place.

    `indices[s]` holds each member's positions in session s; sessions without trials in this batch
    have an index of width 0.
    """
    task, trials = shortened(task, trials, indices)
    used = [s for s, index in enumerate(indices) if index.shape[1]]
    rows = torch.cat([trials[s].rows[indices[s]] for s in used], 1)
    own = state.hyperparameters
    noise = StreamNoise(
        Streams(seed, state.members), "train", state.step, rows, task.dtype,
        own.dropout_rate if bool((own.dropout_rate > 0).any()) else None,
    )  # fmt: skip
    batches = _augmented(state, task, trials, indices, used, noise)
    given = ModelInput(
        counts=tuple(batch.encoded for batch in batches),
        sessions=tuple(used),
        external_inputs=joint_external_inputs(batches),
        n_trial_bins=trial_ends(tuple(trials[s] for s in used), tuple(indices[s] for s in used)),
        trial_inputs=trial_inputs(
            tuple(trials[s] for s in used), tuple(indices[s] for s in used), task
        ),
    )
    named = state.leaves(task.layout)
    weights = ModelWeights.arrange(named, task.session_names)
    output = lfads(given, weights, noise, task.model, task.sizes, kernels=task.kernels)
    scales = loss_weights(state, task)
    terms = objective(
        output,
        tuple(
            Target(
                batch.target,
                likelihood_constant(batch, task.observations[s]),
                batch.is_present,
                batch.has_gradient,
                generated_ends(trials[s], indices[s], task),
            )
            for batch, s in zip(batches, used, strict=True)
        ),
        named,
        observations=tuple(task.observations[s] for s in used),
        priors=task.priors,
        weights=scales,
        settings=task.loss,
    )
    return _update(state, task, named, terms, scales)


def _augmented(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Tensor, ...],
    used: list[int],
    noise: StreamNoise,
) -> list[SessionBatch]:
    chain = augmentations(task, state.hyperparameters)
    batches = []
    for s in used:
        batch = gather(trials[s], indices[s], task, session=s)
        own_noise = StreamNoise(
            noise.streams, noise.phase, noise.step, trials[s].rows[indices[s]], noise.dtype
        )
        for augmentation in chain:
            batch = augmentation(
                batch, own_noise, state.hyperparameters, site=task.sizes.sessions[s].name
            )
        batches.append(batch)
    return batches


def _update(
    state: PopulationState,
    task: Task,
    named: dict[str, Tensor],
    terms: LossTerms,
    scales: LossWeights,
) -> StepReport:
    """Differentiate the sum over members (each only knows its own weights) and step."""
    leaves = [named[spec.name] for spec in task.layout.specs]
    parts = torch.autograd.grad(terms.loss.sum(), leaves, allow_unused=True, materialize_grads=True)
    gradient = torch.cat([part.flatten(1) for part in parts], 1)
    if task.is_trained is not None:
        gradient = torch.where(task.is_trained, gradient, 0.0)
    norm = gradient_norm(gradient)
    is_finite = norm.isfinite() & terms.loss.detach().isfinite()
    adamw_step(
        state,
        gradient,
        decay_ramp=scales.ramp_l2,
        norm=norm,
        is_active=is_finite & ~state.clocks.is_stopped,
        is_trained=task.is_trained,
    )
    state.step += 1
    detached = LossTerms(
        *(value.detach() for value in (
            terms.loss, terms.reconstruction, terms.kl_initial_condition, terms.kl_inputs, terms.l2,
        ))
    )  # fmt: skip
    return StepReport(detached, norm, is_finite)
