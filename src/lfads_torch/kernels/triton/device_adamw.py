"""Clip and AdamW of all members in one pass over the flat buffers, in place.

Axes: P member, n entries of its flat buffer. Equations: training/optimiser.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

__all__ = ["Buffers", "Numbers", "update"]


class Buffers(NamedTuple):
    """[P, n] each. Any: a tensor, which on the device is a pointer."""

    weights: Any
    moment1: Any
    moment2: Any
    gradient: Any


class Numbers(NamedTuple):
    """[P] each."""

    scale: Any  # of the gradient, by the clip
    share1: Any  # 1 - beta1
    share2: Any  # 1 - beta2
    rate: Any  # learning rate / correction of the first moment
    correction2: Any
    epsilon: Any
    shrink: Any  # 1 - rate * decay


@triton.jit
def update(buffers, numbers, is_active, n, BLOCK: tl.constexpr):
    """A program is one block of one member; those of an inactive member read one number."""
    member = tl.program_id(0).to(tl.int64)
    if tl.load(is_active + member):
        j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = j < n
        at = member * n + j
        gradient = tl.load(buffers.gradient + at, mask=inside, other=0.0)
        gradient *= tl.load(numbers.scale + member)
        moment1 = tl.load(buffers.moment1 + at, mask=inside, other=0.0)
        moment2 = tl.load(buffers.moment2 + at, mask=inside, other=0.0)
        weights = tl.load(buffers.weights + at, mask=inside, other=0.0)
        moment1 += tl.load(numbers.share1 + member) * (gradient - moment1)
        moment2 += tl.load(numbers.share2 + member) * (gradient * gradient - moment2)
        root = tl.sqrt(moment2 / tl.load(numbers.correction2 + member))
        root += tl.load(numbers.epsilon + member)
        weights *= tl.load(numbers.shrink + member)
        weights -= tl.load(numbers.rate + member) * moment1 / root
        tl.store(buffers.moment1 + at, moment1, mask=inside)
        tl.store(buffers.moment2 + at, moment2, mask=inside)
        tl.store(buffers.weights + at, weights, mask=inside)
