"""The batch of one step: trials gathered by index and augmented, ready for model and loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.batch import BatchSizes, Thinning, Thinnings, WhichNumbers
from lfads_torch.kernels.compiled.gru import fits
from lfads_torch.kernels.compiled.poisson import IndexedCounts
from lfads_torch.kernels.poisson import poisson_nats
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.reconstruction import IndexedTarget, Target
from lfads_torch.model.inputs import input_sizes
from lfads_torch.model.lfads import ModelInput
from lfads_torch.model.sessions import is_encoded_unit
from lfads_torch.plugin_returns import is_plugin, refuse_returned, returned_kind
from lfads_torch.training.augment import CoordinatedDropout, SessionBatch
from lfads_torch.training.augmentations import ordered_augmentations
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.resident import ResidentTrials
from lfads_torch.training.streams import site_key, threshold
from lfads_torch.training.trial_ends import generated_ends, trial_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int

    from lfads_torch.kernels.compiled.fused import Fused
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.training.augment import Augmentation
    from lfads_torch.training.filed import Trials
    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = [
    "PreparedBatch",
    "augmentations",
    "external_inputs",
    "fused_for",
    "gather",
    "is_in_library",
    "is_linear_poisson",
    "joint_external_inputs",
    "likelihood_constant",
    "plain_input",
    "prepared_batch",
    "trial_inputs",
]


@dataclass(frozen=True)
class PreparedBatch:
    """What the model reads, and what it is to explain, session by session."""

    given: ModelInput
    targets: tuple[Target | IndexedTarget, ...]


def augmentations(task: Task, own: Hyperparameters) -> tuple[Augmentation, ...]:
    """The augmentations in use, in order."""
    chain = ordered_augmentations(task.augmentation, task.model.first_generated_bin)
    return tuple(each for each in chain if each.is_active(own))


def gather(
    trials: ResidentTrials, index: Int[Tensor, "P B"], task: Task, *, session: int
) -> SessionBatch:
    """Each member's own trials of one session, by their positions."""
    counts = trials.counts[index]
    is_encoded = is_encoded_unit(task.sizes.sessions[session], counts.device)
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
    return _gathered_inputs([part.external_inputs for part in trials], indices)


def trial_inputs(
    trials: tuple[ResidentTrials, ...], indices: tuple[Int[Tensor, "P _"], ...], task: Task
) -> Float[Tensor, "P B C"] | None:
    """Inputs that are constant over a trial, for all trials of the batch."""
    if task.sizes.n_trial_inputs == 0:
        return None
    return _gathered_inputs([part.trial_inputs for part in trials], indices)


def _gathered_inputs(
    inputs: list[Tensor | None], indices: tuple[Int[Tensor, "P _"], ...]
) -> Tensor:
    """Of the trials of each session by their positions, one session after the other."""
    pairs = zip(inputs, indices, strict=True)
    return torch.cat([own[index] for own, index in pairs if own is not None], 1)


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


def fused_for(task: Task, trials: ResidentTrials, session: int) -> Fused | None:
    """The compiled library where it knows a session's likelihood: Poisson of a linear read-out.

    In float32, on the CPU.
    """
    is_known = is_linear_poisson(task, session) and fits(trials.counts)
    return task.kernels.fused if is_known else None


def is_in_library(state: PopulationState, task: Task, trials: Sequence[Trials]) -> bool:
    """Whether batches go through the compiled library, and so does nearly all of a step."""
    only = trials[0]
    return (
        isinstance(only, ResidentTrials)
        and fused_for(task, only, 0) is not None
        and _is_alone(task)
        and _keeps_places(augmentations(task, state.hyperparameters), only)
    )


def prepared_batch(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Int[Tensor, "P _"], ...],
    noise: StreamNoise,
    *,
    chain: tuple[Augmentation, ...] | None = None,
) -> PreparedBatch:
    """`indices[s]` holds each member's positions in session s; those of width 0 are left out.

    A single Poisson session without a read-in goes through the compiled library, where there is
    one and nothing but coordinated dropout changes the batch; all else through PyTorch operations.
    """
    if chain is None:
        chain = augmentations(task, state.hyperparameters)
    used = [s for s, index in enumerate(indices) if index.shape[1]]
    fused = fused_for(task, trials[used[0]], used[0])
    if fused is not None and _is_alone(task) and _keeps_places(chain, trials[used[0]]):
        return _compiled(fused, state, task, trials[0], indices[0], noise, chain=chain)
    batches = _augmented(state, task, trials, indices, noise, chain=chain)
    given = ModelInput(
        counts=tuple(batch.encoded for batch in batches),
        sessions=tuple(used),
        external_inputs=joint_external_inputs(batches),
        n_trial_bins=trial_ends(tuple(trials[s] for s in used), tuple(indices[s] for s in used)),
        trial_inputs=trial_inputs(
            tuple(trials[s] for s in used), tuple(indices[s] for s in used), task
        ),
    )
    targets = (
        Target(
            batch.target,
            likelihood_constant(batch, task.observations[s]),
            batch.is_present,
            batch.has_gradient,
            generated_ends(trials[s], indices[s], task),
            _one_pass(task, s),
        )
        for batch, s in zip(batches, used, strict=True)
    )
    return PreparedBatch(given, tuple(targets))


def is_linear_poisson(task: Task, session: int) -> bool:
    """Whether read-out and likelihood of a session can be one operation."""
    return task.parts.read_out is None and type(task.observations[session]) is Poisson


def _one_pass(task: Task, session: int) -> Callable[..., Tensor] | None:
    """Read-out and likelihood of a session in one operation; the reference has none."""
    if not is_linear_poisson(task, session) or task.kernels.name == "reference":
        return None
    return task.kernels.poisson or poisson_nats


def _keeps_places(chain: tuple[Augmentation, ...], trials: ResidentTrials) -> bool:
    """Whether the batch is what was gathered but for coordinated dropout of single entries."""
    known = all(type(each) is CoordinatedDropout and not each.by_unit for each in chain)
    return known and len(chain) <= 1 and trials.n_trial_bins is None


def _compiled(
    fused: Fused,
    state: PopulationState,
    task: Task,
    trials: ResidentTrials,
    index: Tensor,
    noise: StreamNoise,
    *,
    chain: tuple[Augmentation, ...],
) -> PreparedBatch:
    x, has_gradient = _encoder_input(fused, state, task, trials, index, noise, chain=chain)
    counts = IndexedCounts(
        trials.counts, index, task.model.first_generated_bin, trials.is_present, has_gradient
    )
    target = IndexedTarget(counts, trials.constant[index], fused.poisson)
    external = external_inputs((trials,), (index,), task)
    constant = trial_inputs((trials,), (index,), task)
    return PreparedBatch(ModelInput((), (0,), external, None, constant, x), (target,))


def _encoder_input(
    fused: Fused,
    state: PopulationState,
    task: Task,
    trials: ResidentTrials,
    index: Tensor,
    noise: StreamNoise,
    *,
    chain: tuple[Augmentation, ...],
) -> tuple[Tensor, Tensor | None]:
    """What the encoder reads and which entries give gradient, as `_augmented` and the model do."""
    own, (session,) = state.hyperparameters, task.sizes.sessions

    def thinning(site: str, rate: Tensor | None) -> Thinning | None:
        if rate is None or not bool((rate > 0).any()):
            return None
        return Thinning(site_key(f"{noise.phase}.{site}"), rate, threshold(rate))

    hide = None
    if chain:
        hide = thinning(f"coordinated_dropout.{session.name}", own.coordinated_dropout_rate)
    passing = thinning(
        f"coordinated_dropout_pass.{session.name}", own.coordinated_dropout_pass_rate
    )
    return _gathered(
        fused,
        task,
        trials,
        index,
        numbers=WhichNumbers(noise.streams.seed, int(noise.step), state.members, noise.rows),
        thinnings=Thinnings(
            hide=hide,
            passing=passing if hide is not None else None,
            drop=thinning("dropout.data", noise.dropout_rate),
        ),
    )


def _gathered(
    fused: Fused,
    task: Task,
    trials: ResidentTrials,
    index: Tensor,
    *,
    numbers: WhichNumbers,
    thinnings: Thinnings,
) -> tuple[Tensor, Tensor | None]:
    sizes, first = task.sizes, task.model.first_generated_bin
    return fused.batch(
        trials.counts,
        index,
        encoded_units=torch.tensor(sizes.sessions[0].encoded_units),
        sizes=BatchSizes(sizes.n_encoded_bins, sizes.n_bins - first, first),
        numbers=numbers,
        thinnings=thinnings,
    )


def plain_input(
    task: Task, trials: ResidentTrials, index: Int[Tensor, "P B"], *, session: int
) -> ModelInput:
    """Trials of one session for the model, nothing hidden or dropped."""
    external, ends = external_inputs((trials,), (index,), task), trial_ends((trials,), (index,))
    constant = trial_inputs((trials,), (index,), task)
    fused = fused_for(task, trials, session)
    if fused is None or not _is_alone(task):
        encoded = gather(trials, index, task, session=session).encoded
        return ModelInput((encoded,), (session,), external, ends, constant)
    nobody = WhichNumbers(0, 0, index[:, 0], index)
    x, _ = _gathered(
        fused, task, trials, index, numbers=nobody, thinnings=Thinnings(None, None, None)
    )
    return ModelInput((), (session,), external, ends, constant, x)


def _is_alone(task: Task) -> bool:
    """Whether the encoders see the units of one session, as they are, and nothing beside them."""
    is_only = len(task.sizes.sessions) == 1 and task.sizes.readin_size is None
    return is_only and input_sizes(task.model, task.sizes).encoders == 0


def _checked(augmentation: Augmentation, found: object, before: SessionBatch) -> SessionBatch:
    """What an augmentation gave back; of a plug-in that counts and masks still fit each other."""
    batch = returned_kind(augmentation, "__call__", found, SessionBatch)
    if not is_plugin(augmentation):
        return batch
    n_members, n_trials, n_bins, n_units = before.counts.shape
    shapes = {
        "counts": (before.counts.shape, "P B L N"),
        "visible": ((n_members, n_trials, before.n_encoded_bins, n_units), "P B E N"),
        "has_gradient": ((n_members, n_trials, n_bins - before.first_bin, n_units), "P B T N"),
        "present": (before.counts.shape, "P B L N"),
    }
    for name, (shape, axes) in shapes.items():
        value = getattr(batch, name)
        if value is not None and tuple(getattr(value, "shape", ())) != tuple(shape):
            needed = f"a tensor [{axes}], here {list(shape)},"
            refuse_returned(augmentation, f"__call__ ({name} of the batch)", value, needed)
    return batch


def _augmented(
    state: PopulationState,
    task: Task,
    trials: tuple[ResidentTrials, ...],
    indices: tuple[Tensor, ...],
    noise: StreamNoise,
    *,
    chain: tuple[Augmentation, ...],
) -> list[SessionBatch]:
    used = [s for s, index in enumerate(indices) if index.shape[1]]
    rates, batches = state.hyperparameters, []
    for s in used:
        batch = gather(trials[s], indices[s], task, session=s)
        own_noise = StreamNoise(
            noise.streams, noise.phase, noise.step, trials[s].rows[indices[s]], noise.dtype
        )
        for augmentation in chain:
            name = task.sizes.sessions[s].name
            found = augmentation(batch, own_noise, rates, site=name)
            batch = _checked(augmentation, found, batch)
        batches.append(batch)
    return batches
