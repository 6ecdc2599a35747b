"""Temporal shift: a whole trial moves by some bins, input, target and external inputs together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.training.augment import Augmentation, SessionBatch
from lfads_torch.training.spike_jitter import signed

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.noise import StreamNoise
    from lfads_torch.training.settings import AugmentationSettings

__all__ = ["TemporalShift"]


@dataclass(frozen=True)
class TemporalShift(Augmentation):
    """A trial moves with the member's probability, by 1 to `n_bins` bins earlier or later.

    All units and external inputs of a trial move alike, so what belongs together stays together.
    What comes in from beyond the trial is not known: it is missing (zero for the encoder, absent
    from the loss); external inputs keep their first or last value there.
    """

    n_bins: int

    @classmethod
    def from_settings(cls, settings: AugmentationSettings, first_bin: int) -> Augmentation:
        return cls(settings.temporal_shift_bins)

    def is_active(self, rates: Hyperparameters) -> bool:
        return bool((rates.temporal_shift_rate > 0).any())

    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        n_bins = batch.counts.shape[2]
        source = self._source(noise, rates, site, n_bins)[..., None]
        ends = torch.full_like(source, n_bins)
        if batch.n_trial_bins is not None:
            ends = batch.n_trial_bins[..., None, None].expand_as(source)
        is_known = (source >= 0) & (source < ends)
        source = torch.minimum(source.clamp(min=0), ends - 1)
        place = torch.arange(n_bins, device=source.device)[:, None]
        present = (is_known & (place < ends)).expand_as(batch.counts)
        if batch.present is not None:
            present = present & _taken(batch.present, source)
        external = batch.external_inputs
        return replace(
            batch,
            counts=_taken(batch.counts, source) * present,
            present=present,
            constant=None,
            external_inputs=None if external is None else _taken(external, source),
        )

    def _source(
        self, noise: StreamNoise, rates: Hyperparameters, site: str, n_bins: int
    ) -> Int[Tensor, "P B L"]:
        """The bin from which each bin of a trial is taken; beyond the trial where it has none."""
        is_moving = ~noise.keep(f"temporal_shift.{site}", rates.temporal_shift_rate, 1)
        drawn = noise.whole(f"temporal_shift_distance.{site}", 2 * self.n_bins, 1)
        distance = signed(drawn, self.n_bins) * is_moving
        return torch.arange(n_bins, device=distance.device) - distance


def _taken(values: Tensor, source: Tensor) -> Tensor:
    return values.gather(2, source.expand(-1, -1, -1, values.shape[3]))
