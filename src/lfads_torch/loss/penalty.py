"""The L2 penalty on recurrent matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["recurrent_penalty"]


def recurrent_penalty(
    scales: Mapping[str, Float[Tensor, " P"]], named: Mapping[str, Tensor]
) -> Float[Tensor, " P"]:
    """`sum_m s_m * 1/2 |U_m|^2 / sum_m numel(U_m)`, over the recurrent matrices with s_m > 0.

    `scales` maps a part ("generator", ...) to each member's weight; an encoder's two directions
    are one part of twice the size, which gives the same sums. Parts the model lacks are left out.
    """
    total, n_entries = None, None
    for part, scale in scales.items():
        matrix = named.get(f"{part}.recurrent")
        if matrix is None:
            continue
        squared = scale * 0.5 * matrix.square().flatten(1).sum(1)
        counted = (scale > 0).to(matrix.dtype) * (matrix.numel() // len(matrix))
        total = squared if total is None else total + squared
        n_entries = counted if n_entries is None else n_entries + counted
    if total is None or n_entries is None:
        raise ValueError("recurrent_penalty: no recurrent matrix among the weights")
    return total / n_entries.clamp_min(1.0)
