"""Differences of log-gamma functions that keep their digits in single precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["log_gamma_beyond_entropy", "log_rising"]

_LARGE = 8.0  # from here on three terms of Stirling's series are exact to 1e-10


def log_gamma_beyond_entropy(k: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """`lgamma(k) - k log k + k` for k > 0, by Stirling's series where k is large.

    The difference stays near `log(2 pi / k) / 2` while its terms grow beyond all digits.
    """
    small = k.clamp_max(_LARGE)
    direct = torch.lgamma(small) - small * small.log() + small
    large = k.clamp_min(_LARGE)
    return torch.where(k < _LARGE, direct, 0.5 * torch.log(2.0 * torch.pi / large) + _tail(large))


def log_rising(r: Float[Tensor, "..."], counts: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """`lgamma(r + y) - lgamma(r) - y log r`, which falls to 0 as r grows."""
    small = r.clamp_max(_LARGE)
    direct = torch.lgamma(small + counts) - torch.lgamma(small) - counts * small.log()
    large = r.clamp_min(_LARGE)
    total = large + counts
    series = (total - 0.5) * torch.log1p(counts / large) - counts + _tail(total) - _tail(large)
    return torch.where(r < _LARGE, direct, series)


def _tail(x: Tensor) -> Tensor:
    """What Stirling's series adds to `(x - 1/2) log x - x + log(2 pi) / 2`."""
    inverse = 1.0 / x
    squared = inverse.square()
    series = 1.0 / 12.0 - squared * (1.0 / 360.0 - squared * (1.0 / 1260.0 - squared / 1680.0))
    return inverse * series
