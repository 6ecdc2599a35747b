"""Changes to a batch in training only. The contract: batch, random -> batch, with loss weights.

What is encoded and what is reconstructed are two views of the same counts, so an augmentation that
moves entries moves them in both; one that hides entries leaves the counts alone and says what the
encoder sees (`visible`) and where the loss gives gradient (`has_gradient`). Both go by place in
the trial, so the order in which augmentations are applied never shows the encoder what it is to
predict. Coordinated dropout is here; source: Keshtkaran & Pandarinath 2019 (NeurIPS 32).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from lfads_torch.declare import PluginSettings
from lfads_torch.training.hyperparameters import may_act

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.noise import StreamNoise
    from lfads_torch.training.settings import AugmentationSettings

__all__ = ["Augmentation", "CoordinatedDropout", "SessionBatch", "hide"]


@dataclass(frozen=True)
class SessionBatch:
    """One session's trials of a batch, over all bins of the recording."""

    counts: Float[Tensor, "P B L N"]  # all units in the user's order; missing entries are 0
    constant: Float[Tensor, "P B"] | None  # of the likelihood; None once the counts have changed
    is_encoded_unit: Bool[Tensor, " N"]
    n_encoded_bins: int
    first_bin: int = 0  # the first generated one
    present: Bool[Tensor, "P B L N"] | None = None  # None: nothing is missing
    has_gradient: Bool[Tensor, "P B T N"] | None = None  # None: every entry
    visible: Float[Tensor, "P B E N"] | None = None  # factor on what the encoder gets; 0: hidden
    external_inputs: Float[Tensor, "P B L X"] | None = None
    n_trial_bins: Int[Tensor, "P B"] | None = None  # bins of each trial; None: all of them

    @property
    def encoded(self) -> Float[Tensor, "P B E N"]:
        """What the encoder gets."""
        counts = self.counts[:, :, : self.n_encoded_bins]
        return counts if self.visible is None else counts * self.visible

    @property
    def target(self) -> Float[Tensor, "P B T N"]:
        """What is to be explained."""
        return self.counts[:, :, self.first_bin :]

    @property
    def is_present(self) -> Bool[Tensor, "P B T N"] | None:
        """Which of it is there at all."""
        return None if self.present is None else self.present[:, :, self.first_bin :]


class Augmentation(ABC):
    """One change. It has no state; rates are the members' own.

    Those of a plug-in's settings (`member_setting`) are `rates.value("section.setting")`, [P].
    """

    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @classmethod
    def from_settings(cls, settings: AugmentationSettings, first_bin: int) -> Augmentation:
        """As the settings want it; `first_bin` is the first generated bin."""
        return cls()

    def is_active(self, rates: Hyperparameters) -> bool:
        """Whether any member's batch would be changed at all."""
        return True

    @abstractmethod
    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        """The changed batch. `site` keeps the random numbers of sessions apart."""


def hide(
    batch: SessionBatch,
    factor: Float[Tensor, "P B E N"],
    has_gradient: Bool[Tensor, "P B T N"],
) -> SessionBatch:
    """Less for the encoder and less gradient, on top of what was hidden before."""
    if batch.visible is not None:
        factor = batch.visible * factor
    if batch.has_gradient is not None:
        has_gradient = has_gradient & batch.has_gradient
    return replace(batch, visible=factor, has_gradient=has_gradient)


@dataclass(frozen=True)
class CoordinatedDropout(Augmentation):
    """Hide entries from the encoder; only the hidden ones (and a passed share) give gradient.

    Input: `x * kept / (1 - rate)`. Entries that are never encoded (held-out units, forward bins)
    and bins before the first generated one are untouched; a member with rate 0 keeps every entry
    and gradient. `by_unit` hides a unit in all bins of a trial.
    """

    first_bin: int
    by_unit: bool = False

    @classmethod
    def from_settings(cls, settings: AugmentationSettings, first_bin: int) -> Augmentation:
        return cls(first_bin, settings.coordinated_dropout_by == "unit")

    def is_active(self, rates: Hyperparameters) -> bool:
        return bool((rates.coordinated_dropout_rate > 0).any())

    def __call__(
        self, batch: SessionBatch, noise: StreamNoise, rates: Hyperparameters, *, site: str
    ) -> SessionBatch:
        rate = rates.coordinated_dropout_rate
        n_bins, n_units = batch.n_encoded_bins - self.first_bin, batch.counts.shape[3]
        kept = self._kept(noise, f"coordinated_dropout.{site}", rate, n_bins, n_units)
        passed = ~self._kept(
            noise, f"coordinated_dropout_pass.{site}", rates.coordinated_dropout_pass_rate,
            n_bins, n_units,
        ) if may_act(rates.coordinated_dropout_pass_rate) else None  # fmt: skip
        scale = (1.0 / (1.0 - rate)).view(-1, 1, 1, 1)
        factor = kept.view(torch.uint8) * scale  # a third of the time of a Boolean
        if self.first_bin:
            factor = torch.nn.functional.pad(factor, (0, 0, self.first_bin, 0), value=1.0)
        return hide(batch, factor, self._gradient(batch, kept, passed, rate))

    def _kept(
        self, noise: StreamNoise, site: str, rate: Float[Tensor, " P"], n_bins: int, n_units: int
    ) -> Bool[Tensor, "P B E2 N"]:
        if not self.by_unit:
            return noise.keep(site, rate, n_bins, n_units)
        return noise.keep(site, rate, 1, n_units).expand(-1, -1, n_bins, -1)

    def _gradient(
        self,
        batch: SessionBatch,
        kept: Bool[Tensor, "P B E2 N"],
        passed: Bool[Tensor, "P B E2 N"] | None,
        rate: Float[Tensor, " P"],
    ) -> Bool[Tensor, "P B T N"]:
        allowed = ~kept if passed is None else ~kept | passed
        allowed = allowed | ~batch.is_encoded_unit | (rate == 0).view(-1, 1, 1, 1)
        n_forward = batch.counts.shape[2] - batch.n_encoded_bins
        if n_forward:
            allowed = torch.nn.functional.pad(allowed, (0, 0, 0, n_forward), value=True)
        return allowed
