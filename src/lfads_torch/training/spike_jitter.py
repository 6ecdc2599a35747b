"""Spike jitter: spikes move by some bins, in what is encoded and what is reconstructed alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.training.augment import Augmentation, SessionBatch

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.noise import StreamNoise
    from lfads_torch.training.settings import AugmentationSettings

__all__ = ["SpikeJitter"]


@dataclass(frozen=True)
class SpikeJitter(Augmentation):
    """Each spike moves with the member's probability, by 1 to `n_bins` bins to either side.

    The number of spikes of every trial and unit stays. A spike that would leave the trial goes as
    far to the other side; where that leaves it too, or ends in a missing entry, it stays in place.
    Counts must be whole numbers of at least 0.
    """

    n_bins: int

    @classmethod
    def from_settings(cls, settings: AugmentationSettings, first_bin: int) -> Augmentation:
        return cls(settings.spike_jitter_bins)

    def is_active(self, rates: Hyperparameters) -> bool:
        return bool((rates.spike_jitter_rate > 0).any())

    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        counts, moved = batch.counts, batch.counts.clone()
        shape = counts.shape[2:]
        # One round for the first spike of every entry, one for the second, ...
        for n in range(int(counts.max())):
            is_moving = ~noise.keep(f"spike_jitter.{site}.{n}", rates.spike_jitter_rate, *shape)
            target = self._target(noise, f"spike_jitter_distance.{site}.{n}", batch)
            spikes = (is_moving & (counts > n)).to(counts.dtype)
            moved -= spikes
            moved.scatter_add_(2, target, spikes)
        return replace(batch, counts=moved, constant=None)

    def _target(self, noise: StreamNoise, site: str, batch: SessionBatch) -> Int[Tensor, "P B L N"]:
        """The bin in which one spike of each entry ends."""
        n_bins, n_units = batch.counts.shape[2:]
        distance = signed(noise.whole(site, 2 * self.n_bins, n_bins, n_units), self.n_bins)
        place = torch.arange(n_bins, device=distance.device)[:, None].expand(-1, n_units)
        own_ends = batch.n_trial_bins
        ends = n_bins if own_ends is None else own_ends[..., None, None]
        target = torch.where(_within(place + distance, ends), place + distance, place - distance)
        target = torch.where(_within(target, ends), target, place)
        if batch.present is None:
            return target
        return torch.where(batch.present.gather(2, target), target, place)


def signed(drawn: Int[Tensor, "..."], furthest: int) -> Int[Tensor, "..."]:
    """0..2w-1 as -w..-1, 1..w: every distance but 0."""
    distance = drawn - furthest
    return distance + (distance >= 0).to(distance.dtype)


def _within(place: Int[Tensor, "..."], ends: Tensor | int) -> Bool[Tensor, "..."]:
    return (place >= 0) & (place < ends)
