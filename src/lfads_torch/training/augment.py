"""Changes to a batch in training only. The contract: batch, random -> batch, with loss weights.

What is encoded and what is reconstructed change together. Coordinated dropout is the one here;
source: Keshtkaran & Pandarinath 2019 (NeurIPS 32).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.noise import StreamNoise

__all__ = ["Augmentation", "CoordinatedDropout", "SessionBatch"]


@dataclass(frozen=True)
class SessionBatch:
    """One session's trials of a batch: what the encoder gets, and what is to be explained."""

    encoded: Float[Tensor, "P B E N"]  # all units in the user's order; missing entries are 0
    target: Float[Tensor, "P B T N"]
    constant: Float[Tensor, "P B"]
    is_encoded_unit: Bool[Tensor, " N"]
    is_present: Bool[Tensor, "P B T N"] | None = None
    has_gradient: Bool[Tensor, "P B T N"] | None = None  # None: every entry


class Augmentation(ABC):
    """One change. It has no state; rates are the members' own."""

    @abstractmethod
    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        """The changed batch. `site` keeps the random numbers of sessions apart."""


@dataclass(frozen=True)
class CoordinatedDropout(Augmentation):
    """Hide entries from the encoder; only the hidden ones (and a passed share) give gradient.

    Input: `x * kept / (1 - rate)`. Entries that are never encoded (held-out units, forward bins)
    and bins before `ic_bins` are untouched; a member with rate 0 keeps every entry and gradient.
    """

    ic_bins: int

    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        rate = rates.coordinated_dropout_rate
        shape = (batch.encoded.shape[2] - self.ic_bins, batch.encoded.shape[3])
        kept = noise.keep(f"coordinated_dropout.{site}", rate, *shape)
        passed = ~noise.keep(
            f"coordinated_dropout_pass.{site}", rates.coordinated_dropout_pass_rate, *shape
        ) if bool((rates.coordinated_dropout_pass_rate > 0).any()) else None  # fmt: skip
        return replace(
            batch,
            encoded=self._hidden(batch.encoded, kept, rate),
            has_gradient=self._gradient(batch, kept, passed, rate),
        )

    def _hidden(
        self,
        encoded: Float[Tensor, "P B E N"],
        kept: Bool[Tensor, "P B E2 N"],
        rate: Float[Tensor, " P"],
    ) -> Float[Tensor, "P B E N"]:
        scale = (1.0 / (1.0 - rate)).view(-1, 1, 1, 1)
        after = encoded[:, :, self.ic_bins :] * kept * scale
        if self.ic_bins == 0:
            return after
        return torch.cat([encoded[:, :, : self.ic_bins], after], 2)

    def _gradient(
        self,
        batch: SessionBatch,
        kept: Bool[Tensor, "P B E2 N"],
        passed: Bool[Tensor, "P B E2 N"] | None,
        rate: Float[Tensor, " P"],
    ) -> Bool[Tensor, "P B T N"]:
        allowed = ~kept if passed is None else ~kept | passed
        allowed = allowed | ~batch.is_encoded_unit | (rate == 0).view(-1, 1, 1, 1)
        n_forward = batch.target.shape[2] - allowed.shape[2]
        if n_forward:
            allowed = torch.nn.functional.pad(allowed, (0, 0, 0, n_forward), value=True)
        if batch.has_gradient is not None:
            allowed = allowed & batch.has_gradient
        return allowed
