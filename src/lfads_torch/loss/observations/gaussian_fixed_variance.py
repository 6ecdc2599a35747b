"""Gaussian signals of one known variance: the parameter is the mean of each bin and unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

    from lfads_torch.loss.settings import LossSettings

__all__ = ["GaussianFixedVariance"]


@dataclass(frozen=True)
class GaussianFixedVariance(Observation):
    """`-log p(y) = (y - m)^2 / (2 v) + log(2 pi v) / 2`; the last term is the constant.

    With v = 1/2 it is the squared error, up to the constant.
    """

    name: ClassVar[str] = "gaussian_fixed_variance"
    n_parameters: ClassVar[int] = 1
    is_spiking: ClassVar[bool] = False

    variance: float = 1.0  # in the signal's own unit, squared

    @classmethod
    def from_settings(cls, settings: LossSettings) -> GaussianFixedVariance:
        return cls(settings.fixed_variance)

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        return (counts - parameters[..., 0, :]).square() * (0.5 / self.variance)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.full_like(counts, 0.5 * math.log(2.0 * math.pi * self.variance))

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return parameters[..., 0, :]

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        return random.normal(parameters[..., 0, :], math.sqrt(self.variance))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """The training mean."""
        return moments.mean[None]

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        return mean

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        wrong = counts.isinf()
        return (wrong, "finite numbers") if bool(wrong.any()) else None
