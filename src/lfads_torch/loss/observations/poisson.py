"""Poisson counts with a log link: the parameter is the log of the expected count per bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.whole_numbers import at_least_half_a_spike, no_counts

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["Poisson"]


class Poisson(Observation):
    """`-log p(y) = exp(theta) - y theta + lgamma(y + 1)`; the last term is the constant."""

    name: ClassVar[str] = "poisson"
    n_parameters: ClassVar[int] = 1
    is_spiking: ClassVar[bool] = True

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        log_mean = parameters[..., 0, :]
        return torch.addcmul(log_mean.exp(), counts, log_mean, value=-1.0)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.lgamma(counts + 1.0)

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return parameters[..., 0, :].exp()

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        return random.poisson(np.exp(parameters[..., 0, :]))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Log of the training mean; a silent unit counts as half a spike in all its entries."""
        return self.link(moments.mean, moments)[None]

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        return at_least_half_a_spike(mean, moments).log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        return no_counts(counts)
