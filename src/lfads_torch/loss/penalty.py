"""The L2 penalty on recurrent matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["recurrent_penalty"]


def recurrent_penalty(
    scales: Mapping[str, Float[Tensor, " P"]], named: Mapping[str, Tensor]
) -> Float[Tensor, " P"]:
    """`sum_m s_m * 1/2 |U_m|^2 / sum_m numel(U_m)`, over the recurrent matrices with s_m > 0.

    `scales` maps a matrix ("generator.recurrent", ...) to each member's weight; an encoder's two
    directions are one matrix of twice the size, which gives the same sums. What the model lacks is
    left out; where it has none of them the penalty is 0.
    """
    total, n_entries = None, None
    for name, scale in scales.items():
        matrix = named.get(name)
        if matrix is None:
            continue
        squared = scale * 0.5 * matrix.square().flatten(1).sum(1)
        counted = (scale > 0).to(matrix.dtype) * (matrix.numel() // len(matrix))
        total = squared if total is None else total + squared
        n_entries = counted if n_entries is None else n_entries + counted
    if total is None or n_entries is None:
        return torch.zeros_like(next(iter(scales.values())))
    return total / n_entries.clamp_min(1.0)
