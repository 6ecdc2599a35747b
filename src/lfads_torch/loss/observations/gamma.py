"""Gamma signals: positive, with a spread that grows with the mean (EMG envelopes, power)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.special import log_gamma_beyond_entropy

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["Gamma", "draw_gamma", "gamma_divergence", "shape_from_moments"]

_LOWEST, _HIGHEST = -7.0, 12.0  # of log k: a spread of 33 and of .0025 means


def gamma_divergence(
    log_mean: Float[Tensor, "..."], log_shape: Float[Tensor, "..."], values: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """`-log p(y) - log y` of positive values, mean m and shape k (between exp(-7) and exp(12)).

    `lgamma(k) - k log k + k + k (e^s - 1 - s)` with `s = log(y / m)`; its parts stay small where k
    is large and y near m.
    """
    log_k = log_shape.clamp(_LOWEST, _HIGHEST)
    s = values.log() - log_mean
    k = log_k.exp()
    return log_gamma_beyond_entropy(k) + k * (torch.expm1(s) - s)


def draw_gamma(
    log_mean: NDArray[np.float64], log_shape: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Values of this mean and shape."""
    shape = np.exp(log_shape.clip(_LOWEST, _HIGHEST))
    tiny = np.finfo(np.float32).tiny  # a small shape draws values that round to 0
    drawn = random.gamma(shape) / shape * np.exp(log_mean)
    return np.asarray(np.maximum(drawn, tiny), dtype=np.float64)


def shape_from_moments(
    mean: Float[Tensor, "..."], variance: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """`m^2 / v`, between 0.1 and 100."""
    return (mean.square() / variance.clamp_min(1e-30)).clamp(0.1, 100.0)


class Gamma(Observation):
    """Mean `m = exp(theta)`, shape `k = exp(kappa)`, variance `m^2 / k`.

    `-log p(y) = lgamma(k) - k log(k / m) - (k - 1) log y + k y / m`.
    """

    name: ClassVar[str] = "gamma"
    n_parameters: ClassVar[int] = 2
    is_spiking: ClassVar[bool] = False

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        values = torch.where(counts > 0, counts, 1.0)  # missing entries are 0
        return gamma_divergence(parameters[..., 0, :], parameters[..., 1, :], values)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.where(counts > 0, counts, 1.0).log()

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return parameters[..., 0, :].exp()

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        return draw_gamma(parameters[..., 0, :], parameters[..., 1, :], random)

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Training mean, and the shape from the variance, between 0.1 and 100."""
        shape = shape_from_moments(moments.mean, moments.variance)
        return torch.stack([self.link(moments.mean, moments), shape.log()])

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        """The logarithm; no mean counts as less than a millionth of the unit's own."""
        return torch.maximum(mean, (1e-6 * moments.mean).clamp_min(1e-30)).log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        wrong = (counts <= 0) | counts.isinf()
        return (wrong, "numbers above 0") if bool(wrong.any()) else None
