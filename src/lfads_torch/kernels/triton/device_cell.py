"""One step of the gated cell on the device, forward and backward, for one tile of trials.

`rows_in` [TILE, 1] says which trials of the tile exist. A pointer named after a signal points, for
every trial of the tile, at the start of its row of that signal at the current bin: [TILE, 1].
Weights point at the member's matrix, row-major. Everything travels through memory (which at these
sizes means the L1 and L2 caches), so that any size works and nothing is cut out of registers; a
barrier stands wherever one part of the tile reads what another wrote.

Equations: gru/README.md. EMULATED rounds operands to bfloat16 by hand, because Triton's interpreter
takes products of bfloat16 as products of integers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

__all__ = [
    "Cell", "CellBack", "clipped", "first_half", "product", "second_half", "through_carry",
    "through_output", "through_reset",
]  # fmt: skip


class Cell(NamedTuple):
    """What a cell reads and writes at one bin. Any: pointers, which only Triton knows."""

    gates: Any  # z, r, n side by side; holds what is known in advance, then the gates
    before: Any  # the state
    after: Any
    reset_state: Any  # r * before
    recurrent: Any  # [H, 3H]
    inputs: Any  # what is known at this bin only
    input_weight: Any  # [K, 3H]


class CellBack(NamedTuple):
    """What a cell's backward pass reads and writes at one bin."""

    gates: Any
    before: Any
    of_gates: Any  # gradient before the nonlinearity; z, r, n side by side
    carry: Any  # gradient of the state, on its way to the bin before
    recurrent: Any  # transposed: [3H, H]


@triton.jit
def product(
    total, left, size: tl.constexpr, weight, stride: tl.constexpr, rows_in, columns_in,
    CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """`total + left[:, :size] @ weight[:size]`; `weight` points at the columns of its first row."""
    SPAN: tl.constexpr = 16 if size <= 16 else CHUNK
    for first in range(0, size, SPAN):
        k = first + tl.arange(0, SPAN)
        inside = k < size
        a = tl.load(left + k[None, :], mask=rows_in & inside[None, :], other=0.0)
        b = tl.load(weight + k[:, None] * stride, mask=inside[:, None] & columns_in, other=0.0)
        if EMULATED:
            rounded = a.to(tl.bfloat16).to(tl.float32)
            total = tl.dot(rounded, b.to(tl.float32), total, input_precision="ieee")
        else:
            total = tl.dot(
                a.to(b.dtype), b, total, input_precision=PRECISION, out_dtype=total.dtype
            )
    return total


@triton.jit
def two_products(
    first_total, second_total, left, size: tl.constexpr, weight, apart: tl.constexpr,
    stride: tl.constexpr, rows_in, columns_in,
    CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Two products of one `left`; the second weight stands `apart` columns to the right."""
    SPAN: tl.constexpr = 16 if size <= 16 else CHUNK
    for first in range(0, size, SPAN):
        k = first + tl.arange(0, SPAN)
        inside = k < size
        a = tl.load(left + k[None, :], mask=rows_in & inside[None, :], other=0.0)
        at = weight + k[:, None] * stride
        b = tl.load(at, mask=inside[:, None] & columns_in, other=0.0)
        c = tl.load(at + apart, mask=inside[:, None] & columns_in, other=0.0)
        if EMULATED:
            rounded = a.to(tl.bfloat16).to(tl.float32)
            first_total = tl.dot(rounded, b.to(tl.float32), first_total, input_precision="ieee")
            second_total = tl.dot(rounded, c.to(tl.float32), second_total, input_precision="ieee")
        else:
            a = a.to(b.dtype)
            first_total = tl.dot(a, b, first_total, input_precision=PRECISION)
            second_total = tl.dot(a, c, second_total, input_precision=PRECISION)
    return first_total, second_total


@triton.jit
def clipped(value, clip):
    """Within [-clip, clip]; a value that is not a number stays so, as with torch.clamp."""
    value = tl.where(value > clip, clip, value)
    return tl.where(value < -clip, -clip, value)


@triton.jit
def first_half(
    cell, H: tl.constexpr, K: tl.constexpr, rows_in, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Update and reset gate, and the state times the reset gate. A barrier must follow."""
    for first in range(0, H, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < H
        inside = rows_in & columns_in
        update = tl.load(cell.gates + j, mask=inside, other=0.0)
        reset = tl.load(cell.gates + H + j, mask=inside, other=0.0)
        update, reset = two_products(
            update, reset, cell.before, H, cell.recurrent + j, H, 3 * H, rows_in, columns_in,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        if K > 0:
            update, reset = two_products(
                update, reset, cell.inputs, K, cell.input_weight + j, H, 3 * H, rows_in,
                columns_in, CHUNK, PRECISION, EMULATED,
            )  # fmt: skip
        reset = tl.sigmoid(reset)
        before = tl.load(cell.before + j, mask=inside, other=0.0)
        tl.store(cell.gates + j, tl.sigmoid(update), mask=inside)
        tl.store(cell.gates + H + j, reset, mask=inside)
        tl.store(cell.reset_state + j, reset * before, mask=inside)


@triton.jit
def second_half(
    cell, j, H: tl.constexpr, K: tl.constexpr, rows_in, clip, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Candidate and new state of the columns `j` [1, COLUMNS], which is returned."""
    columns_in = j < H
    inside = rows_in & columns_in
    candidate = tl.load(cell.gates + 2 * H + j, mask=inside, other=0.0)
    candidate = product(
        candidate, cell.reset_state, H, cell.recurrent + 2 * H + j, 3 * H, rows_in, columns_in,
        CHUNK, PRECISION, EMULATED,
    )  # fmt: skip
    if K > 0:
        candidate = product(
            candidate, cell.inputs, K, cell.input_weight + 2 * H + j, 3 * H, rows_in, columns_in,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
    candidate = 2.0 * tl.sigmoid(2.0 * candidate) - 1.0  # tanh, which tl itself does not have
    update = tl.load(cell.gates + j, mask=inside, other=0.0)
    before = tl.load(cell.before + j, mask=inside, other=0.0)
    after = clipped(update * before + (1.0 - update) * candidate, clip)
    tl.store(cell.gates + 2 * H + j, candidate, mask=inside)
    tl.store(cell.after + j, after, mask=inside)
    return after


@triton.jit
def through_output(cell, arriving, j, H: tl.constexpr, rows_in, clip):
    """From the gradient of the columns `j` of the new state to those of update and candidate.

    Whether the clip acted is worked out again from the gates: nothing is kept for it.
    """
    inside = rows_in & (j < H)
    update = tl.load(cell.gates + j, mask=inside, other=0.0)
    candidate = tl.load(cell.gates + 2 * H + j, mask=inside, other=0.0)
    before = tl.load(cell.before + j, mask=inside, other=0.0)
    unclipped = update * before + (1.0 - update) * candidate
    arriving = tl.where(tl.abs(unclipped) <= clip, arriving, 0.0)
    of_update = arriving * (before - candidate) * update * (1.0 - update)
    of_candidate = arriving * (1.0 - update) * (1.0 - candidate * candidate)
    tl.store(cell.of_gates + j, of_update, mask=inside)
    tl.store(cell.of_gates + 2 * H + j, of_candidate, mask=inside)
    tl.store(cell.carry + j, arriving * update, mask=inside)


@triton.jit
def through_reset(
    cell, H: tl.constexpr, rows_in, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """From the candidate's gradient to the reset gate's. Barriers before and after."""
    for first in range(0, H, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < H
        inside = rows_in & columns_in
        of_reset_state = tl.zeros((rows_in.shape[0], COLUMNS), tl.float32)
        of_reset_state = product(
            of_reset_state, cell.of_gates + 2 * H, H, cell.recurrent + 2 * H * H + j, H, rows_in,
            columns_in, CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        reset = tl.load(cell.gates + H + j, mask=inside, other=0.0)
        before = tl.load(cell.before + j, mask=inside, other=0.0)
        carry = tl.load(cell.carry + j, mask=inside, other=0.0)
        of_reset = of_reset_state * before * reset * (1.0 - reset)
        tl.store(cell.of_gates + H + j, of_reset, mask=inside)
        tl.store(cell.carry + j, carry + of_reset_state * reset, mask=inside)


@triton.jit
def through_carry(
    cell, H: tl.constexpr, rows_in, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Add to the carry what the update and the reset gate pass back. Barriers before and after."""
    for first in range(0, H, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < H
        inside = rows_in & columns_in
        carry = tl.load(cell.carry + j, mask=inside, other=0.0)
        carry = product(
            carry, cell.of_gates, 2 * H, cell.recurrent + j, H, rows_in, columns_in,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        tl.store(cell.carry + j, carry, mask=inside)
