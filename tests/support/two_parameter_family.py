"""An observation family from outside the package, whose mean is not its first parameter."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments

__all__ = ["Gamma"]


class Gamma(Observation):
    """Of `y + 1`, so that 0 can be drawn; log of the shape a, log of the rate b; mean a/b - 1."""

    name: ClassVar[str] = "gamma"
    n_parameters: ClassVar[int] = 2
    is_spiking: ClassVar[bool] = False

    def negative_log_likelihood(self, parameters: Tensor, counts: Tensor) -> Tensor:
        a, log_b = parameters[..., 0, :].exp(), parameters[..., 1, :]
        y = counts + 1.0
        return torch.lgamma(a) - a * log_b - (a - 1.0) * y.log() + log_b.exp() * y

    def mean(self, parameters: Tensor) -> Tensor:
        return (parameters[..., 0, :] - parameters[..., 1, :]).exp() - 1.0

    def draw(self, parameters: np.ndarray, random: np.random.Generator) -> np.ndarray:
        a, b = np.exp(parameters[..., 0, :]), np.exp(parameters[..., 1, :])
        return random.gamma(a) / b - 1.0

    def initial_bias(self, moments: UnitMoments) -> Tensor:
        return torch.stack([torch.zeros_like(moments.mean), -(moments.mean + 1.0).log()])

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        return None
