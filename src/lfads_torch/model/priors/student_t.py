"""Independent Student-t priors: heavy tails, for rare and large values."""

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

__all__ = ["StudentTPrior"]


@dataclass(frozen=True)
class StudentTPrior(Prior):
    """`x = m + s t` with t of n degrees of freedom; its variance is `s^2 n / (n - 2)`.

    The location m is 0 or learned from 0 (in a peer it starts at the scale), the scale s fixed or
    learned in log space, n > 2 fixed.
    """

    start_variance: float
    degrees_of_freedom: float
    name: str
    has_location: bool
    learns_scale: bool

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> StudentTPrior:
        return cls(
            setup.start_variance,
            setup.settings.prior_degrees_of_freedom,
            name=setup.name,
            has_location=not setup.is_of_inputs,
            learns_scale=setup.learns_scale,
        )

    @property
    def log_start_scale(self) -> float:
        n = self.degrees_of_freedom
        return 0.5 * math.log(self.start_variance * (n - 2.0) / n)

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        shape = (n_dimensions,)
        location = [WeightSpec(f"{self.name}.location", shape)] if self.has_location else []
        scale = WeightSpec(f"{self.name}.log_scale", shape, constant=self.log_start_scale)
        return [*location, scale] if self.learns_scale else location

    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P *T B D"]:
        """One sample's estimate, `-log(2 pi e s^2) / 2 - log p(sample)`: no closed form is known.

        The posterior's entropy is exact, so that only log p is sampled. Where nothing is sampled
        the sample is the posterior's mean, and the estimate too low.
        """
        n, log_s = self.degrees_of_freedom, over_trials(self._log_scale(named), posterior.mean)
        distance = posterior.sample
        if self.has_location:
            distance = distance - over_trials(named[f"{self.name}.location"], posterior.mean)
        constant = math.lgamma(0.5 * (n + 1.0)) - math.lgamma(0.5 * n) - 0.5 * math.log(n * math.pi)
        squared = (distance * torch.exp(-log_s)).square()
        log_prior = constant - log_s - 0.5 * (n + 1.0) * torch.log1p(squared / n)
        entropy = 0.5 * (math.log(2.0 * math.pi) + 1.0 + posterior.variance.log())
        return -entropy - log_prior

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        n = self.degrees_of_freedom
        return torch.exp(2.0 * self._log_scale(named)) * (n / (n - 2.0))

    def _log_scale(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        if self.learns_scale:
            return named[f"{self.name}.log_scale"]
        return torch.full_like(named[f"{self.name}.location"], self.log_start_scale)
