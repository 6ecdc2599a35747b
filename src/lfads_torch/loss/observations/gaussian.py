"""Gaussian signals: the parameters are mean and log-variance of each bin and unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["Gaussian"]


class Gaussian(Observation):
    """`-log p(y) = 1/2 [log(2 pi) + w + (y - m)^2 exp(-w)]` with mean m and log-variance w."""

    name: ClassVar[str] = "gaussian"
    n_parameters: ClassVar[int] = 2
    is_spiking: ClassVar[bool] = False

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        mean, log_variance = parameters[..., 0, :], parameters[..., 1, :]
        return 0.5 * (log_variance + (counts - mean).square() * torch.exp(-log_variance))

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.full_like(counts, 0.5 * math.log(2.0 * math.pi))

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return parameters[..., 0, :]

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        return random.normal(parameters[..., 0, :], np.exp(0.5 * parameters[..., 1, :]))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Training mean and log-variance; a constant unit starts from a variance of 1e-6."""
        return torch.stack([moments.mean, moments.variance.clamp_min(1e-6).log()])

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        return mean

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        wrong = counts.isinf()
        return (wrong, "finite numbers") if bool(wrong.any()) else None
