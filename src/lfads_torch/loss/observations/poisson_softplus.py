"""Poisson counts with a softplus link: the expected count per bin is `log(1 + exp(theta))`."""

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

__all__ = ["PoissonSoftplus"]

_FAR_BELOW = -15.0  # there log(softplus(x)) is x to 2e-7


class PoissonSoftplus(Observation):
    """`-log p(y) = m - y log m + lgamma(y + 1)` with `m = softplus(theta)`.

    Far below one spike per bin this is the log link; far above, rates are linear in the factors.
    """

    name: ClassVar[str] = "poisson_softplus"
    n_parameters: ClassVar[int] = 1
    is_spiking: ClassVar[bool] = True

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        theta = parameters[..., 0, :]
        # softplus underflows to 0 in single precision, whose logarithm would be infinite.
        safe = softplus(theta.clamp_min(_FAR_BELOW)).log()
        return softplus(theta) - counts * torch.where(theta > _FAR_BELOW, safe, theta)

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return torch.lgamma(counts + 1.0)

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return softplus(parameters[..., 0, :])

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        return random.poisson(np.logaddexp(0.0, parameters[..., 0, :]))

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        """The training mean through the link; silent units as half a spike in all entries."""
        return self.link(moments.mean, moments)[None]

    def link(self, mean: Float[Tensor, "... N"], moments: UnitMoments) -> Float[Tensor, "... N"]:
        """`log(exp(m) - 1)`, written so that a large mean does not overflow."""
        mean = at_least_half_a_spike(mean, moments)
        return mean + torch.log(-torch.expm1(-mean))

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        return no_counts(counts)
