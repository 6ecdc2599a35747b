"""At most one spike per bin: the parameter is the log-odds of a spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.whole_numbers import at_least_half_a_spike

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["Bernoulli"]


class Bernoulli(Observation):
    """`-log p(y) = log(1 + exp(theta)) - y theta`; the mean is the probability of a spike."""

    name: ClassVar[str] = "bernoulli"
    n_parameters: ClassVar[int] = 1
    is_spiking: ClassVar[bool] = True

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        log_odds = parameters[..., 0, :]
        return softplus(log_odds) - counts * log_odds

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return torch.sigmoid(parameters[..., 0, :])

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        log_odds = parameters[..., 0, :]
        return random.random(log_odds.shape) < np.exp(-np.logaddexp(0.0, -log_odds))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Log-odds of the training mean, half a spike away from never and from always."""
        return self.link(moments.mean, moments)[None]

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        spike = at_least_half_a_spike(mean, moments)
        none = at_least_half_a_spike(1.0 - mean, moments)
        return spike.log() - none.log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        wrong = (counts != 0) & (counts != 1) & ~counts.isnan()
        return (wrong, "0 or 1: at most one spike per bin") if bool(wrong.any()) else None
