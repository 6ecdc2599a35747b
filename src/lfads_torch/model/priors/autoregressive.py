"""The AR(1) prior of the inferred inputs, independent over dimensions.

`a = exp(-1/tau)`, `u_1 ~ N(0, v1)` with `v1 = v / (1 - a^2)`, `u_t ~ N(a u_{t-1}, v)`; tau (bins)
and v are learned in log space. Source: Pandarinath et al. 2018, Online Methods (the AR(1) prior);
the divergence is the step-wise conditional one, see `terms`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.errors import SettingsError
from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.priors.base import Posterior, Prior, PriorSetup
from lfads_torch.model.priors.normal import normal_divergence

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["AutoregressivePrior"]


@dataclass(frozen=True)
class AutoregressivePrior(Prior):
    """Where time constant and innovation variance start, and how the divergence is taken."""

    start_time_constant_bins: float
    start_variance: float  # of the innovations
    is_factorised: bool = False
    time_constant_name: str = "input_prior.log_time_constant"
    variance_name: str = "input_prior.log_variance"

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> AutoregressivePrior:
        """A time constant in ms is converted with the bin width."""
        if not setup.is_of_inputs:
            raise SettingsError(
                "settings: model.initial_condition_prior is autoregressive, which is over time; an "
                "initial condition has none. Choose normal, student_t or laplace."
            )
        time_constant = setup.settings.input_prior_time_constant
        if setup.settings.time_constant_unit == "ms":
            time_constant = time_constant / (1000.0 * setup.bin_width_s)
        return cls(time_constant, setup.start_variance, setup.is_factorised)

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        shape = (n_dimensions,)
        time_constant = math.log(self.start_time_constant_bins)
        return [
            WeightSpec(self.time_constant_name, shape, constant=time_constant),
            WeightSpec(self.variance_name, shape, constant=math.log(self.start_variance)),
        ]

    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P T B D"]:
        """`KL(q(u_t | past sample) || p(u_t | u_{t-1}))` along the generator's sample.

        The posterior of u_t depends on the sampled past, through generator, factors and
        controller. By the chain rule the divergence is the expectation over samples of their sum,
        so one sample gives it without bias. `is_factorised` takes the expectation over u_{t-1}
        as if its posterior were independent of u_t's (for comparison with lfads-torch only).
        """
        decay, innovation, stationary = self._constants(named)
        mean, variance = posterior.mean, posterior.variance
        zero = torch.zeros_like(stationary)
        first = normal_divergence(mean[:, :1], variance[:, :1], zero, stationary)
        if self.is_factorised:
            later = normal_divergence(
                mean[:, 1:], variance[:, 1:], decay * mean[:, :-1], innovation
            )
            later = later + 0.5 * decay.square() * variance[:, :-1] / innovation
        else:
            past = decay * posterior.sample[:, :-1]
            later = normal_divergence(mean[:, 1:], variance[:, 1:], past, innovation)
        return torch.cat([first, later], 1)

    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        return self._constants(named)[2][:, 0, 0]

    def _constants(self, named: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """a, v and v1, each [P, 1, 1, D]."""
        rate = torch.exp(-named[self.time_constant_name])[:, None, None]
        innovation = torch.exp(named[self.variance_name])[:, None, None]
        # 1 - a^2 = -expm1(-2/tau) keeps its digits for long time constants.
        return torch.exp(-rate), innovation, innovation / -torch.expm1(-2.0 * rate)
