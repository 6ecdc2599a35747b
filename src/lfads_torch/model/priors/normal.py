"""Independent normal priors: learned mean and fixed variance, or learned variance around zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.priors.base import Posterior, Prior, sum_over_bins
from lfads_torch.model.weights import WeightSpec

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["IndependentNormalInputPrior", "NormalInitialConditionPrior", "normal_divergence"]


def normal_divergence(
    mean: Float[Tensor, "..."],
    variance: Float[Tensor, "..."],
    prior_mean: Float[Tensor, "..."],
    prior_variance: Float[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """`KL(N(m, s^2) || N(mu, v)) = 1/2 [log(v/s^2) + ((m - mu)^2 + s^2)/v - 1]`, by entry."""
    squared = (mean - prior_mean).square()
    ratio = (squared + variance) / prior_variance
    return 0.5 * (torch.log(prior_variance) - torch.log(variance) + ratio - 1.0)


@dataclass(frozen=True)
class NormalInitialConditionPrior(Prior):
    """Of the initial condition: the mean is learned from 0, the variance is fixed."""

    fixed_variance: float
    weight_name: str = "initial_condition_prior.mean"

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        return [WeightSpec(self.weight_name, (n_dimensions,))]

    def divergence(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P B"]:
        mean = named[self.weight_name][:, None]
        variance = self.variance(named)[:, None]
        return normal_divergence(posterior.mean, posterior.variance, mean, variance).sum(-1)

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        return torch.full_like(named[self.weight_name], self.fixed_variance)


@dataclass(frozen=True)
class IndependentNormalInputPrior(Prior):
    """Of the inferred inputs: every bin alone, N(0, v), v learned in log space."""

    start_variance: float
    weight_name: str = "input_prior.log_variance"

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        start = math.log(self.start_variance)
        return [WeightSpec(self.weight_name, (n_dimensions,), constant=start)]

    def divergence(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P B"]:
        variance = self.variance(named)[:, None, None]
        zero = torch.zeros_like(variance)
        values = normal_divergence(posterior.mean, posterior.variance, zero, variance)
        return sum_over_bins(values, posterior)

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        return named[self.weight_name].exp()
