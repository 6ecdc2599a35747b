"""Clip and AdamW as one Triton kernel over the flat buffers of all members."""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
from torch import Tensor

from lfads_torch.kernels.compiled.adamw import AdamWBuffers, OwnNumbers
from lfads_torch.kernels.triton.device_adamw import Buffers, Numbers, update
from lfads_torch.kernels.triton.gru import computes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["adamw"]

_BLOCK = 1024


def adamw(
    buffers: AdamWBuffers,
    gradient: Float[Tensor, "P n"],
    numbers: OwnNumbers,
    is_active: Bool[Tensor, " P"],
) -> bool:
    """Update the active members' weights and moments, in place.

    False, and nothing changed, where the kernel cannot compute: another precision or device, or
    arrays that are not contiguous.
    """
    arrays = Buffers(buffers.weights, buffers.moment1, buffers.moment2, gradient)
    own = Numbers(*(getattr(numbers, name).contiguous() for name in Numbers._fields))
    if not computes([*arrays, *own]) or not all(each.is_contiguous() for each in arrays):
        return False
    n_members, n = gradient.shape
    update[(n_members, triton.cdiv(n, _BLOCK))](arrays, own, is_active, n, BLOCK=_BLOCK)
    return True
