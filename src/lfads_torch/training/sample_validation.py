"""Sample validation: entries of the training trials that never train, and are scored.

Source: Keshtkaran & Pandarinath 2019 (NeurIPS 32), section 3.2. Here the mask is one for the whole
run: a function of (seed, session, trial) alone, the same for every member, step and batch size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.augment import Augmentation, SessionBatch
from lfads_torch.training.filed import at_hand
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.score import trials_at_once, validation_noise
from lfads_torch.training.step import gather, trial_inputs
from lfads_torch.training.streams import Streams
from lfads_torch.training.trial_ends import trial_ends

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from lfads_torch.training.filed import Trials
    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.settings import AugmentationSettings
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = ["SampleValidation", "sample_validation_score"]


@dataclass(frozen=True)
class SampleValidation(Augmentation):
    """A share of the encoded entries counts as missing: zero for the encoder, absent from the loss.

    The rest of the input is scaled by `1 / (1 - rate)`. Held-out units, forward bins and bins
    before the first generated one are untouched. What is moved later (jitter, shift) does not
    carry a held-out entry along, for its counts are gone by then.
    """

    first_bin: int
    rate: float

    @classmethod
    def from_settings(cls, settings: AugmentationSettings, first_bin: int) -> SampleValidation:
        return cls(first_bin, settings.sample_validation_rate)

    def is_active(self, rates: Hyperparameters) -> bool:
        return self.rate > 0.0

    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        kept = ~self.held_out(batch, noise, site=site)
        present = kept if batch.present is None else batch.present & kept
        scale = torch.ones_like(batch.counts[:, :, : batch.n_encoded_bins])
        scale[:, :, self.first_bin :] /= 1.0 - self.rate
        return replace(
            batch,
            counts=batch.counts * kept,
            present=present,
            constant=None,
            visible=scale if batch.visible is None else batch.visible * scale,
        )

    def held_out(
        self, batch: SessionBatch, noise: StreamNoise, *, site: str
    ) -> Bool[Tensor, "P B L N"]:
        """The run's mask for these trials; it asks for nothing but their numbers."""
        members = torch.zeros_like(noise.streams.members)
        fixed = replace(noise, streams=Streams(noise.streams.seed, members), phase="fixed", step=0)
        shape = (batch.n_encoded_bins - self.first_bin, batch.counts.shape[3])
        rate = torch.full((len(members),), self.rate, device=members.device)
        drawn = ~fixed.keep(f"sample_validation.{site}", rate, *shape) & batch.is_encoded_unit
        n_after = batch.counts.shape[2] - batch.n_encoded_bins
        padded: Tensor = torch.nn.functional.pad(drawn, (0, 0, self.first_bin, n_after))
        return padded


@torch.no_grad()
def sample_validation_score(
    state: PopulationState, task: Task, trials: tuple[Trials, ...], *, seed: int
) -> Float[Tensor, " P"]:
    """Mean nats per held-out, present entry of these trials given the others; NaN without any.

    Dropout and all other augmentation are off; the noise is that of the validation score.
    """
    total = torch.zeros(state.n_members, dtype=torch.float64, device=task.device)
    n_counted = torch.zeros_like(total)
    size = trials_at_once(task, state.n_members)
    for session, part in enumerate(trials):
        for start in range(0, part.n_trials, size):
            chunk = torch.arange(start, min(start + size, part.n_trials), device=task.device)
            (held,), (index,) = at_hand((part,), (chunk.expand(state.n_members, -1),))
            nats, n = _chunk(state, task, held, index, session, seed)
            total += nats
            n_counted += n
    return total / n_counted


def _chunk(
    state: PopulationState,
    task: Task,
    part: ResidentTrials,
    index: Tensor,
    session: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Sum of nats over the entries held out, and their number; both [P]."""
    batch, rows = gather(part, index, task, session=session), part.rows[index]
    rate = task.augmentation.sample_validation_rate
    augmentation = SampleValidation(task.model.first_generated_bin, rate)
    site = task.sizes.sessions[session].name
    noise = StreamNoise(Streams(seed, state.members), "validation", state.epoch, rows, task.dtype)
    shown = augmentation(batch, noise, state.hyperparameters, site=site)
    given = ModelInput(
        (shown.encoded,), (session,), shown.external_inputs,
        trial_ends((part,), (index,)), trial_inputs((part,), (index,), task),
    )  # fmt: skip
    weights = ModelWeights.arrange(state.named(task.layout), task.session_names, task.parts)
    output = lfads(
        given, weights, validation_noise(state, task, rows, seed), task.model, task.sizes,
        kernels=task.kernels,
    )  # fmt: skip
    family, first = task.observations[session], batch.first_bin
    nats = family.negative_log_likelihood(output.parameters[0], batch.target)
    nats = nats + family.constant(batch.target)
    counted = augmentation.held_out(batch, noise, site=site)[:, :, first:]
    if batch.is_present is not None:
        counted = counted & batch.is_present
    nats = torch.where(counted, nats, 0.0).double()
    return nats.flatten(1).sum(1), counted.flatten(1).sum(1).double()
