"""The generation recurrence on the device, forward: one program is one member and one tile of
trials, all bins.

Axes: P member, T generated bin, B trial, C controller, U inferred input, G generator, F factor.
Equations: decoder/README.md. The way back is in device_decoder_backward.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from lfads_torch.kernels.triton.device_cell import Cell, first_half, product, second_half
from lfads_torch.kernels.triton.device_draws import NOTHING, Place, mask_at, noise_at

__all__ = ["Arrays", "decoder_forward"]


class Arrays(NamedTuple):
    """Any: a tensor, which on the device is a pointer."""

    controller_gates: Any  # [P, T, B, 3C] what the encoder gives; the gates in the end
    controller_states: Any  # [P, T+1, B, C] entry 0 is given
    controller_resets: Any  # [P, T, B, C] state times reset gate
    generator_gates: Any  # [P, T, B, 3G] what external inputs give; the gates in the end
    generator_states: Any  # [P, T+1, B, G] entry 0 is given
    generator_resets: Any  # [P, T, B, G]
    dropped: Any  # [P, T, B, G] generator states after their mask; unused without one
    factors: Any  # [P, T+1, B, F] entry 0 is given
    seen: Any  # [P, T, B, F] factors of the bin before, after their mask; unused without one
    posterior: Any  # [P, T, B, 2U] mean, then log-variance
    inputs: Any  # [P, T, B, U]
    controller_recurrent: Any  # [P, C, 3C]
    controller_input: Any  # [P, F, 3C] the rows that read factors
    generator_recurrent: Any  # [P, G, 3G]
    generator_input: Any  # [P, U, 3G] the rows that read inferred inputs
    output_weight: Any  # [P, C, 2U]
    output_bias: Any  # [P, 2U]
    to_factors: Any  # [P, G, F]


@triton.jit
def decoder_forward(
    arrays, noise, generator_mask, factor_mask, clip, T, B,
    C: tl.constexpr, U: tl.constexpr, G: tl.constexpr, F: tl.constexpr,
    NOISE: tl.constexpr, GENERATOR_MASK: tl.constexpr, FACTOR_MASK: tl.constexpr,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Five parts a bin, a barrier after each: what the next one reads is then written."""
    member = tl.program_id(0).to(tl.int64)
    trials = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    rows_in = trials < B
    for t in tl.range(T, num_stages=1):
        at = (member * T + t) * B + trials
        before = (member * (T + 1) + t) * B + trials
        after = before + B
        place = Place(member, t, trials, at, member * B + trials, rows_in)
        seen = arrays.factors + before * F
        if FACTOR_MASK != NOTHING:
            drop(seen, arrays.seen + at * F, factor_mask, place, F, FACTOR_MASK, COLUMNS)
            seen = arrays.seen + at * F
            tl.debug_barrier()
        controller = Cell(
            gates=arrays.controller_gates + at * 3 * C,
            before=arrays.controller_states + before * C,
            after=arrays.controller_states + after * C,
            reset_state=arrays.controller_resets + at * C,
            recurrent=arrays.controller_recurrent + member * C * 3 * C,
            inputs=seen,
            input_weight=arrays.controller_input + member * F * 3 * C,
        )
        first_half(controller, C, F, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        for first in range(0, C, COLUMNS):
            j = first + tl.arange(0, COLUMNS)[None, :]
            second_half(controller, j, C, F, rows_in, clip, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        infer(arrays, controller.after, noise, place, C, U, NOISE, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        generator = Cell(
            gates=arrays.generator_gates + at * 3 * G,
            before=arrays.generator_states + before * G,
            after=arrays.generator_states + after * G,
            reset_state=arrays.generator_resets + at * G,
            recurrent=arrays.generator_recurrent + member * G * 3 * G,
            inputs=arrays.inputs + at * U,
            input_weight=arrays.generator_input + member * U * 3 * G,
        )
        first_half(generator, G, U, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        for first in range(0, G, COLUMNS):
            j = first + tl.arange(0, COLUMNS)[None, :]
            state = second_half(generator, j, G, U, rows_in, clip, CHUNK, PRECISION, EMULATED)
            if GENERATOR_MASK != NOTHING:
                state *= mask_at(generator_mask, place, j, G, GENERATOR_MASK)
                tl.store(arrays.dropped + at * G + j, state, mask=rows_in & (j < G))
        tl.debug_barrier()
        dropped_at = generator.after
        if GENERATOR_MASK != NOTHING:
            dropped_at = arrays.dropped + at * G
        read(arrays, dropped_at, after, member, rows_in, G, F, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()


@triton.jit
def drop(values, to, draw, place, F: tl.constexpr, MASK: tl.constexpr, COLUMNS: tl.constexpr):
    """Factors after their mask, as the controller sees them. A barrier must follow."""
    for first in range(0, F, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        inside = place.rows_in & (j < F)
        dropped = tl.load(values + j, mask=inside, other=0.0)
        dropped *= mask_at(draw, place, j, F, MASK)
        tl.store(to + j, dropped, mask=inside)


@triton.jit
def infer(
    arrays, state, noise, place, C: tl.constexpr, U: tl.constexpr, NOISE: tl.constexpr,
    CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """The controller's state gives mean, log-variance and value of the inferred input."""
    for first in range(0, U, 16):
        j = first + tl.arange(0, 16)[None, :]
        columns_in = j < U
        inside = place.rows_in & columns_in
        bias = arrays.output_bias + place.member * 2 * U + j
        mean = tl.load(bias, mask=inside, other=0.0)
        log_variance = tl.load(bias + U, mask=inside, other=0.0)
        weight = arrays.output_weight + place.member * C * 2 * U + j
        mean = product(
            mean, state, C, weight, 2 * U, place.rows_in, columns_in, CHUNK, PRECISION, EMULATED
        )
        log_variance = product(
            log_variance, state, C, weight + U, 2 * U, place.rows_in, columns_in, CHUNK, PRECISION,
            EMULATED,
        )  # fmt: skip
        value = mean
        if NOISE != NOTHING:
            value += tl.exp(0.5 * log_variance) * noise_at(noise, place, j, U, NOISE)
        to = arrays.posterior + place.at * 2 * U + j
        tl.store(to, mean, mask=inside)
        tl.store(to + U, log_variance, mask=inside)
        tl.store(arrays.inputs + place.at * U + j, value, mask=inside)


@triton.jit
def read(
    arrays, dropped, after, member, rows_in, G: tl.constexpr, F: tl.constexpr,
    COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """The factors of the generator's new state."""
    for first in range(0, F, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < F
        factors = tl.zeros((rows_in.shape[0], COLUMNS), tl.float32)
        weight = arrays.to_factors + member * G * F + j
        factors = product(
            factors, dropped, G, weight, F, rows_in, columns_in, CHUNK, PRECISION, EMULATED
        )
        tl.store(arrays.factors + after * F + j, factors, mask=rows_in & columns_in)
