"""Independent Laplace priors: most values near the location, a few far from it."""

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

__all__ = ["LaplacePrior"]


@dataclass(frozen=True)
class LaplacePrior(Prior):
    """`p(x) = exp(-|x - m| / b) / (2 b)`; its variance is `2 b^2`.

    The location m is 0 or learned from 0, the scale b fixed or learned in log space.
    """

    start_variance: float
    name: str
    has_location: bool
    learns_scale: bool

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> LaplacePrior:
        return cls(setup.start_variance, setup.name, not setup.is_of_inputs, setup.learns_scale)

    @property
    def log_start_scale(self) -> float:
        return 0.5 * math.log(0.5 * self.start_variance)

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        shape = (n_dimensions,)
        location = [WeightSpec(f"{self.name}.location", shape)] if self.has_location else []
        scale = WeightSpec(f"{self.name}.log_scale", shape, constant=self.log_start_scale)
        return [*location, scale] if self.learns_scale else location

    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P *T B D"]:
        """In closed form: `log(2 b) + E|x - m| / b - log(2 pi e s^2) / 2`.

        With d the distance of the posterior's mean from m,
        `E|x - m| = s sqrt(2/pi) exp(-d^2 / 2 s^2) + d erf(d / (s sqrt 2))`, the mean of a folded
        normal distribution.
        """
        log_b = over_trials(self._log_scale(named), posterior.mean)
        distance = posterior.mean
        if self.has_location:
            distance = distance - over_trials(named[f"{self.name}.location"], posterior.mean)
        std = posterior.variance.sqrt()
        ratio = distance / std
        folded = std * (
            math.sqrt(2.0 / math.pi) * torch.exp(-0.5 * ratio.square())
            + ratio * torch.erf(ratio / math.sqrt(2.0))
        )
        entropy = 0.5 * (math.log(2.0 * math.pi) + 1.0) + std.log()
        return math.log(2.0) + log_b + folded * torch.exp(-log_b) - entropy

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        return 2.0 * torch.exp(2.0 * self._log_scale(named))

    def _log_scale(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        if self.learns_scale:
            return named[f"{self.name}.log_scale"]
        return torch.full_like(named[f"{self.name}.location"], self.log_start_scale)
