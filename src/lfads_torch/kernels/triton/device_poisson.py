"""Read-out and Poisson likelihood on the device: one program is one member and a tile of rows.

Axes: P member, T generated bin, B trial, N unit, F factor, M = T*B rows in the order of bins, G
tiles of rows. Equations: kernels/poisson.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from lfads_torch.kernels.triton.device_cell import product

__all__ = ["Arrays", "Signal", "poisson"]


class Signal(NamedTuple):
    """An array [P, T, B, N] with units side by side, and its strides. Any: only Triton knows."""

    first: Any
    member: Any
    bin: Any
    trial: Any


class Arrays(NamedTuple):
    """Contiguous arrays; those after `nats` are written where a gradient is wanted."""

    factors: Any  # [P, M, F]
    weight: Any  # [P, F, N]
    bias: Any  # [P, N]
    transposed: Any  # the weight as [P, N, F]
    nats: Any  # [P, G] float64
    slopes: Any  # [P, M, N] gradient of the log rates, in the type of the products
    of_bias: Any  # [P, G, N]
    of_factors: Any  # [P, M, F]


@triton.jit
def row(signal, member, t, b):
    """Where the units of a bin and trial begin."""
    return signal.first + member * signal.member + t * signal.bin + b * signal.trial


@triton.jit
def poisson(
    arrays, counts, is_present, has_gradient, T, B, F: tl.constexpr, N: tl.constexpr,
    HAS_MISSING: tl.constexpr, HAS_HIDDEN: tl.constexpr, NEEDS_GRADIENT: tl.constexpr,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr,
    EMULATED: tl.constexpr,
):  # fmt: skip
    """Nats of the tile, and its gradients but for the weight's, which is a product after it."""
    member, tile = tl.program_id(1).to(tl.int64), tl.program_id(0)
    rows = (tile * TILE + tl.arange(0, TILE)[:, None]).to(tl.int64)
    rows_in = rows < T * B
    t, b = rows // B, rows % B
    part = member * tl.num_programs(0) + tile
    seen = arrays.factors + (member * T * B + rows) * F
    slopes = arrays.slopes + (member * T * B + rows) * N
    nats = tl.zeros((TILE,), tl.float64)
    for first in range(0, N, COLUMNS):
        n = first + tl.arange(0, COLUMNS)[None, :]
        units_in = n < N
        inside = rows_in & units_in
        theta = tl.zeros((TILE, COLUMNS), arrays.bias.dtype.element_ty)
        theta += tl.load(arrays.bias + member * N + n, mask=units_in, other=0.0)
        theta = product(
            theta, seen, F, arrays.weight + member * F * N + n, N, rows_in, units_in,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        rate = tl.exp(theta)
        y = tl.load(row(counts, member, t, b) + n, mask=inside, other=0.0)
        counted = inside
        if HAS_MISSING:
            at = row(is_present, member, t, b) + n
            counted = counted & (tl.load(at, mask=inside, other=0) != 0)
        # A unit's sum over a row in float32, all others in float64: of millions of entries.
        nats += tl.sum(tl.where(counted, rate - y * theta, 0.0), 1).to(tl.float64)
        if NEEDS_GRADIENT:
            if HAS_HIDDEN:
                at = row(has_gradient, member, t, b) + n
                counted = counted & (tl.load(at, mask=inside, other=0) != 0)
            slope = tl.where(counted, rate - y, 0.0)
            tl.store(slopes + n, slope.to(arrays.slopes.dtype.element_ty), mask=inside)
            of_bias = tl.sum(slope, 0)[None, :]
            tl.store(arrays.of_bias + part * N + n, of_bias, mask=units_in)
    tl.store(arrays.nats + part, tl.sum(nats, 0))
    if NEEDS_GRADIENT:
        tl.debug_barrier()
        for first in range(0, F, COLUMNS):
            f = first + tl.arange(0, COLUMNS)[None, :]
            made = tl.zeros((TILE, COLUMNS), arrays.of_factors.dtype.element_ty)
            made = product(
                made, slopes, N, arrays.transposed + member * N * F + f, F, rows_in, f < F,
                CHUNK, PRECISION, EMULATED,
            )  # fmt: skip
            at = arrays.of_factors + (member * T * B + rows) * F + f
            tl.store(at, made, mask=rows_in & (f < F))
