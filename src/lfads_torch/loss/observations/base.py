"""The contract of an observation family: how likely counts are, given the read-out's parameters.

Axes: `K` parameters of the family, `N` unit; leading axes are free.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Observation", "UnitMoments"]


@dataclass(frozen=True)
class UnitMoments:
    """Mean and variance of each unit over the present training entries, and how many there are."""

    mean: Float[Tensor, " N"]
    variance: Float[Tensor, " N"]
    n_entries: Float[Tensor, " N"]


class Observation(ABC):
    """One family. It has no state; everything is a function of parameters and counts."""

    name: ClassVar[str]
    n_parameters: ClassVar[int]
    is_spiking: ClassVar[bool]  # its mean is a count per bin, reported in spikes/s

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

    @abstractmethod
    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Where the read-out's bias starts: the training data's own moments through the link."""

    @abstractmethod
    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        """Where counts lie outside the support (a mask), and what is needed; None if all is well.

        Missing entries (NaN) are always inside.
        """
