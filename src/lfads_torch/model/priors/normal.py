"""Independent normal priors of initial conditions and inferred inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.priors.base import Posterior, Prior, PriorSetup, over_trials

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["NormalPrior", "normal_divergence"]


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
class NormalPrior(Prior):
    """Every bin alone; mean 0 or learned from 0, variance fixed or learned in log space."""

    start_variance: float
    name: str
    has_location: bool
    learns_scale: bool

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> NormalPrior:
        return cls(setup.start_variance, setup.name, not setup.is_of_inputs, setup.learns_scale)

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        shape, start = (n_dimensions,), math.log(self.start_variance)
        location = [WeightSpec(f"{self.name}.mean", shape)] if self.has_location else []
        scale = WeightSpec(f"{self.name}.log_variance", shape, constant=start)
        return [*location, scale] if self.learns_scale else location

    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P *T B D"]:
        """In closed form."""
        variance = over_trials(self.variance(named), posterior.mean)
        mean = torch.zeros_like(variance)
        if self.has_location:
            mean = over_trials(named[f"{self.name}.mean"], posterior.mean)
        return normal_divergence(posterior.mean, posterior.variance, mean, variance)

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        if self.learns_scale:
            return named[f"{self.name}.log_variance"].exp()
        return torch.full_like(named[f"{self.name}.mean"], self.start_variance)
