"""The encoder recurrence on the device: one program is one cell and one tile of trials, all bins.

Axes: P member, D direction, T time, B trial, H hidden unit. A cell is (member, direction).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from lfads_torch.kernels.triton.device_cell import (
    Cell,
    CellBack,
    first_half,
    second_half,
    through_carry,
    through_output,
    through_reset,
)

__all__ = ["Backward", "Forward", "gru_backward", "gru_forward"]


class Forward(NamedTuple):
    """Arrays of the forward pass. Any: a tensor, which on the device is a pointer."""

    gates: Any  # [P, T, B, D, 3H] what the inputs give; the gates in the end
    # [P, D, T+1, B, H]: entry t is the state before bin t and t+1 the one after it; for a
    # direction that reads backward it is the other way round
    states: Any
    reset_states: Any  # [P, D, T, B, H]
    recurrent: Any  # [P, D, H, 3H]


class Backward(NamedTuple):
    """Arrays of the backward pass."""

    gates: Any
    states: Any
    of_states: Any  # [P, D, T, B, H], in the order of time
    of_gates: Any  # [P, T, B, D, 3H]
    carry: Any  # [P, D, B, H]: zeros; the gradient of the initial state in the end
    recurrent: Any  # transposed: [P, D, 3H, H]


@triton.jit
def gru_forward(
    arrays, reversed_bits, clip, T, B, D: tl.constexpr, H: tl.constexpr, TILE: tl.constexpr,
    COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Bit d of `reversed_bits` says that direction d reads from the last bin to the first."""
    number = tl.program_id(0).to(tl.int64)
    member, direction = number // D, number % D
    is_reversed = (reversed_bits >> direction) & 1
    trials = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    rows_in = trials < B
    recurrent = arrays.recurrent + number * H * 3 * H
    for step in tl.range(T, num_stages=1):
        t = step + is_reversed * (T - 1 - 2 * step)
        at = (number * T + t) * B + trials
        before = ((number * (T + 1) + t + is_reversed) * B + trials) * H
        after = ((number * (T + 1) + t + 1 - is_reversed) * B + trials) * H
        cell = Cell(
            gates=arrays.gates + (((member * T + t) * B + trials) * D + direction) * 3 * H,
            before=arrays.states + before,
            after=arrays.states + after,
            reset_state=arrays.reset_states + at * H,
            recurrent=recurrent,
            inputs=arrays.states,
            input_weight=recurrent,
        )
        first_half(cell, H, 0, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        for first in range(0, H, COLUMNS):
            j = first + tl.arange(0, COLUMNS)[None, :]
            second_half(cell, j, H, 0, rows_in, clip, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()


@triton.jit
def gru_backward(
    arrays, reversed_bits, clip, T, B, D: tl.constexpr, H: tl.constexpr, TILE: tl.constexpr,
    COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Walk from the last step to the first; the weights' gradients are products after it."""
    number = tl.program_id(0).to(tl.int64)
    member, direction = number // D, number % D
    is_reversed = (reversed_bits >> direction) & 1
    trials = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    rows_in = trials < B
    carry_at = arrays.carry + (number * B + trials) * H
    recurrent = arrays.recurrent + number * 3 * H * H
    for back in tl.range(T, num_stages=1):
        step = T - 1 - back
        t = step + is_reversed * (T - 1 - 2 * step)
        at = (((member * T + t) * B + trials) * D + direction) * 3 * H
        before = ((number * (T + 1) + t + is_reversed) * B + trials) * H
        cell = CellBack(
            gates=arrays.gates + at,
            before=arrays.states + before,
            of_gates=arrays.of_gates + at,
            carry=carry_at,
            recurrent=recurrent,
        )
        arriving_at = arrays.of_states + ((number * T + t) * B + trials) * H
        for first in range(0, H, COLUMNS):
            j = first + tl.arange(0, COLUMNS)[None, :]
            inside = rows_in & (j < H)
            arriving = tl.load(arriving_at + j, mask=inside, other=0.0)
            arriving += tl.load(carry_at + j, mask=inside, other=0.0)
            through_output(cell, arriving, j, H, rows_in, clip)
        tl.debug_barrier()
        through_reset(cell, H, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        through_carry(cell, H, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
