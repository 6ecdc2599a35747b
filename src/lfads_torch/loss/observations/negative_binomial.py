"""Negative binomial counts: as Poisson with a log link, but with a variance above the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.special import log_rising
from lfads_torch.loss.observations.whole_numbers import at_least_half_a_spike, no_counts

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["NegativeBinomial"]

_LOWEST, _HIGHEST = -10.0, 15.0  # of log r; beyond them nothing changes in any likelihood


class NegativeBinomial(Observation):
    """Mean `m = exp(theta)`, variance `m + m^2 / r`, `r = exp(rho)`; Poisson as r grows.

    `-log p(y) = -[lgamma(y + r) - lgamma(r) - lgamma(y + 1)] - r log(r / (r + m))
    - y log(m / (r + m))`. r is held between exp(-10) and exp(15).
    """

    name: ClassVar[str] = "negative_binomial"
    n_parameters: ClassVar[int] = 2
    is_spiking: ClassVar[bool] = True

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        log_mean = parameters[..., 0, :]
        log_r = parameters[..., 1, :].clamp(_LOWEST, _HIGHEST)
        r = log_r.exp()
        # log(1 + m/r), which -r log(r / (r + m)) and -y log(m / (r + m)) have in common
        shared = softplus(log_mean - log_r)
        return (r + counts) * shared - counts * log_mean - log_rising(r, counts)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.lgamma(counts + 1.0)

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return parameters[..., 0, :].exp()

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        """A Poisson count whose mean is drawn from a Gamma distribution of shape r."""
        r = np.exp(parameters[..., 1, :].clip(_LOWEST, _HIGHEST))
        mean = random.gamma(r) * np.exp(parameters[..., 0, :]) / r
        return np.asarray(random.poisson(mean))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Training mean, and r from the variance, between 0.1 and 100."""
        mean = at_least_half_a_spike(moments.mean, moments)
        excess = (moments.variance - moments.mean).clamp_min(1e-12)
        r = (mean.square() / excess).clamp(0.1, 100.0)
        return torch.stack([mean.log(), r.log()])

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        return at_least_half_a_spike(mean, moments).log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        return no_counts(counts)
