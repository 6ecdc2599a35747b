"""Noise and dropout masks inside a kernel: read from a tensor, or made from the streams' counters.

Axes: P member, T bin, B trial, n entries per trial and bin. A site's row holds its bins one after
the other, so entry j of bin t is element t * n + j (training/noise.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from lfads_torch.kernels.triton.device_random import kept_at, normal_at

__all__ = ["DRAWN", "GIVEN", "NOTHING", "Draw", "Place", "mask_at", "noise_at"]

NOTHING = tl.constexpr(0)
GIVEN = tl.constexpr(1)
DRAWN = tl.constexpr(2)


class Draw(NamedTuple):
    """A tensor [P, T, B, n], or what fixes its random numbers. Any: pointers on the device."""

    tensor: Any
    key: Any  # [2]
    step: Any  # [1]
    members: Any  # [P] permanent ids
    rows: Any  # [P, B] row numbers
    threshold: Any  # [P], of masks only
    scale: Any  # [P], of masks only


class Place(NamedTuple):
    """Which bin and which trials of which member a program works on."""

    member: Any
    t: Any
    trials: Any  # [TILE, 1]
    at: Any  # [TILE, 1] number of (member, bin, trial) in a tensor [P, T, B, .]
    row_at: Any  # [TILE, 1] number of (member, trial) in a tensor [P, B, .]
    rows_in: Any  # [TILE, 1] which trials exist


@triton.jit
def mask_at(draw, place, j, size: tl.constexpr, KIND: tl.constexpr):
    """The mask of the columns `j` [1, COLUMNS]: [TILE, COLUMNS]; zero outside."""
    inside = place.rows_in & (j < size)
    if KIND == GIVEN:
        mask = tl.load(draw.tensor + place.at * size + j, mask=inside, other=0.0)
    else:
        row = tl.load(draw.rows + place.row_at, mask=place.rows_in, other=0)
        kept = kept_at(
            place.t * size + j, row, tl.load(draw.members + place.member), tl.load(draw.step),
            tl.load(draw.key), tl.load(draw.key + 1),
            tl.load(draw.threshold + place.member).to(tl.int32),
        )  # fmt: skip
        mask = tl.where(kept & inside, tl.load(draw.scale + place.member), 0.0)
    return mask


@triton.jit
def noise_at(draw, place, j, size: tl.constexpr, KIND: tl.constexpr):
    """Standard normals of the columns `j` [1, COLUMNS]: [TILE, COLUMNS]."""
    if KIND == GIVEN:
        inside = place.rows_in & (j < size)
        noise = tl.load(draw.tensor + place.at * size + j, mask=inside, other=0.0)
    else:
        row = tl.load(draw.rows + place.row_at, mask=place.rows_in, other=0)
        noise = normal_at(
            place.t * size + j, row, tl.load(draw.members + place.member), tl.load(draw.step),
            tl.load(draw.key), tl.load(draw.key + 1),
        )  # fmt: skip
    return noise
