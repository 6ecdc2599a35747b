"""Poisson counts with more zeros than their mean explains: units that drop out now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.whole_numbers import at_least_half_a_spike, no_counts

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["ZeroInflatedPoisson"]


class ZeroInflatedPoisson(Observation):
    """Silent with probability `p = 1 / (1 + exp(-g))`, else Poisson with mean `m = exp(theta)`.

    `p(0) = p + (1 - p) exp(-m)`, `p(y) = (1 - p) m^y exp(-m) / y!`; the mean is `(1 - p) m`.
    Parameters in the order theta, g.
    """

    name: ClassVar[str] = "zero_inflated_poisson"
    n_parameters: ClassVar[int] = 2
    is_spiking: ClassVar[bool] = True

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        log_mean, silent = parameters.unbind(-2)
        mean = log_mean.exp()
        of_zero = torch.logaddexp(silent, -mean)
        of_count = counts * log_mean - mean
        return softplus(silent) - torch.where(counts > 0, of_count, of_zero)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.lgamma(counts + 1.0)

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        log_mean, silent = parameters.unbind(-2)
        return torch.sigmoid(-silent) * log_mean.exp()

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        log_mean, silent = np.moveaxis(parameters, -2, 0)
        is_silent = random.random(silent.shape) < np.exp(-np.logaddexp(0.0, -silent))
        return np.where(is_silent, 0, random.poisson(np.exp(log_mean)))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """From mean and variance, `m = v / mean + mean - 1`; the share of silence within .05..9."""
        share = self._silent_share(moments)
        return torch.stack([self.link(moments.mean, moments), torch.logit(share)])

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        """The logarithm of the Poisson mean at the unit's own share of silence."""
        return (at_least_half_a_spike(mean, moments) / (1.0 - self._silent_share(moments))).log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        return no_counts(counts)

    def _silent_share(self, moments: UnitMoments) -> Tensor:
        mean = at_least_half_a_spike(moments.mean, moments)
        active = moments.variance / mean + mean - 1.0
        return (1.0 - mean / active.clamp_min(1e-12)).clamp(0.05, 0.9)
