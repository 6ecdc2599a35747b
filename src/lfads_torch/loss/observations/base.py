"""The contract of an observation family: how likely counts are, given the read-out's parameters.

Axes: `K` parameters of the family, `N` unit; leading axes are free. The first parameter moves the
mean; docs/observations.md has the formulas of every family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from numpy.typing import NDArray

    from lfads_torch.loss.settings import LossSettings

__all__ = ["Observation", "UnitMoments"]


@dataclass(frozen=True)
class UnitMoments:
    """Mean and variance of each unit over the present training entries, and how many there are."""

    mean: Float[Tensor, " N"]
    variance: Float[Tensor, " N"]
    n_entries: Float[Tensor, " N"]
    zero_share: Float[Tensor, " N"] | None = None  # of the present entries; families with a peak


class Observation(ABC):
    """One family. It has no state but constants from the settings.

    All else is a function of parameters and counts. A missing entry arrives as a count of 0 and is
    masked afterwards, so values and gradients must be finite there, inside the support or not.
    """

    name: ClassVar[str]
    n_parameters: ClassVar[int]
    is_spiking: ClassVar[bool]  # its mean is a count per bin, reported in spikes/s

    @classmethod
    def from_settings(cls, settings: LossSettings) -> Observation:
        """The family with its constants; most have none."""
        return cls()

    def of_units(self, n_units: int) -> tuple[Observation, ...]:
        """The family of each unit: this one, but for `SeveralFamilies`."""
        return (self,) * n_units

    @abstractmethod
    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        """In nats per bin and unit, without the part that depends on the counts alone."""

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        """The part of the negative log-likelihood that depends on the counts alone.

        It is computed once per recording; together with `negative_log_likelihood` it is the full
        value with all constants.
        """
        return torch.zeros_like(counts)

    @abstractmethod
    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        """The expected count per bin (or value, for continuous signals)."""

    def sample(
        self, parameters: Float[Tensor, "... K N"], random: np.random.Generator
    ) -> Float[Tensor, "... N"]:
        """Counts drawn from the family, on the processor in double precision."""
        drawn = self.draw(parameters.detach().double().cpu().numpy(), random)
        return torch.as_tensor(drawn).double()

    @abstractmethod
    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        """Counts [..., N] drawn at parameters [..., K, N]."""

    @abstractmethod
    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Where the read-out's bias starts: the training data's own moments through the link."""

    def link(
        self, mean: Float[Tensor, "... N"], moments: UnitMoments
    ) -> Float[Tensor, "... N"] | None:
        """The first parameter that gives this mean, the others where `initial_bias` has them.

        None: the family has no such link, and read-outs cannot be initialised by regression.
        """
        return None

    @abstractmethod
    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        """Where counts lie outside the support (a mask), and what is needed; None if all is well.

        Missing entries (NaN) are always inside.
        """
