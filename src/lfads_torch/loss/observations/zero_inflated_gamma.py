"""Exact zeros beside positive values: deconvolved calcium events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.gamma import draw_gamma, gamma_divergence, shape_from_moments

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

    from lfads_torch.loss.settings import LossSettings

__all__ = ["ZeroInflatedGamma"]


@dataclass(frozen=True)
class ZeroInflatedGamma(Observation):
    """An event with probability `q = 1 / (1 + exp(-theta_q))`; its size less the location is Gamma.

    `p(0) = 1 - q`, `p(y) = q Gamma(y - location; m, k)` for `y > location`, `m = exp(theta)`,
    `k = exp(kappa)`; the mean is `q (m + location)`. Parameters in the order theta, kappa, theta_q.
    After Zhu et al. 2021 (NeurIPS 34), whose location is the smallest event of the deconvolution.
    """

    name: ClassVar[str] = "zero_inflated_gamma"
    n_parameters: ClassVar[int] = 3
    is_spiking: ClassVar[bool] = False

    location: float = 0.0  # in the signal's own unit

    @classmethod
    def from_settings(cls, settings: LossSettings) -> ZeroInflatedGamma:
        return cls(settings.zero_inflated_gamma_location)

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        log_mean, log_shape, event = parameters.unbind(-2)
        size = gamma_divergence(log_mean, log_shape, self._beyond_location(counts))
        return torch.where(counts > self.location, softplus(-event) + size, softplus(event))

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return self._beyond_location(counts).log()

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        log_mean, _, event = parameters.unbind(-2)
        return torch.sigmoid(event) * (log_mean.exp() + self.location)

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        log_mean, log_shape, event = np.moveaxis(parameters, -2, 0)
        has_event = random.random(event.shape) < np.exp(-np.logaddexp(0.0, -event))
        size = draw_gamma(log_mean, log_shape, random)
        # No size may vanish beside the location in single precision: it would be no event.
        return np.where(has_event, self.location + np.maximum(size, 1e-6 * self.location), 0.0)

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """Share of events, and mean and variance of their sizes, in the training trials."""
        q = self._event_share(moments)
        size, square = moments.mean / q, (moments.variance + moments.mean.square()) / q
        variance = (square - size.square()).clamp_min(0.0)
        beyond = (size - self.location).clamp_min(1e-3 * size).clamp_min(1e-30)
        shape = shape_from_moments(beyond, variance)
        return torch.stack([self.link(moments.mean, moments), shape.log(), torch.logit(q)])

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        """The logarithm of the events' mean size at the unit's own share of events."""
        size = mean / self._event_share(moments)
        floor = (1e-3 * moments.mean).clamp_min(1e-30)
        return torch.maximum(size - self.location, floor).log()

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        wrong = (counts < 0) | ((counts > 0) & (counts <= self.location)) | counts.isinf()
        if not bool(wrong.any()):
            return None
        above = f" or numbers above {self.location:g} (loss.zero_inflated_gamma_location)"
        return wrong, "0" + above if self.location else "numbers of at least 0"

    def _beyond_location(self, counts: Tensor) -> Tensor:
        """What an event's size exceeds the location by; 1 where there is no event."""
        return torch.where(counts > self.location, counts - self.location, 1.0)

    def _event_share(self, moments: UnitMoments) -> Tensor:
        """Half an event away from never and from always."""
        assert moments.zero_share is not None
        half = 0.5 / moments.n_entries.clamp_min(1.0)
        return torch.minimum(torch.maximum(1.0 - moments.zero_share, half), 1.0 - half)
