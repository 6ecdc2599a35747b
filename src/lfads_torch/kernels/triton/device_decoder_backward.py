"""The generation recurrence on the device, backward; axes as in device_decoder.py.

The gradients of all weights, and of what is known in advance, are products after the kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from lfads_torch.kernels.triton.device_cell import (
    CellBack,
    product,
    through_carry,
    through_output,
    through_reset,
)
from lfads_torch.kernels.triton.device_draws import NOTHING, Place, mask_at, noise_at

__all__ = ["BackArrays", "decoder_backward"]


class BackArrays(NamedTuple):
    """Any: a tensor, which on the device is a pointer. Recurrent and other weights transposed."""

    controller_gates: Any
    controller_states: Any
    generator_gates: Any
    generator_states: Any
    posterior: Any
    of_controller_gates: Any  # [P, T, B, 3C] before the nonlinearity
    of_generator_gates: Any  # [P, T, B, 3G]
    of_posterior: Any  # [P, T, B, 2U] what arrives at mean and log-variance; all of it in the end
    of_factors: Any  # [P, T+1, B, F] what arrives, entry 0 zero; all of it in the end
    of_generator_states: Any  # [P, T, B, G] what arrives; unused without GENERATOR_USED
    of_controller_states: Any  # [P, T, B, C]
    of_inputs: Any  # [P, T, B, U]
    generator_carry: Any  # [P, B, G] zeros; the gradient of the first state in the end
    controller_carry: Any  # [P, B, C]
    controller_recurrent: Any  # [P, 3C, C]
    controller_input: Any  # [P, 3C, F]
    generator_recurrent: Any  # [P, 3G, G]
    generator_input: Any  # [P, 3G, U]
    output_weight: Any  # [P, 2U, C]
    from_factors: Any  # [P, F, G]


@triton.jit
def decoder_backward(
    arrays, noise, generator_mask, factor_mask, clip, T, B,
    C: tl.constexpr, U: tl.constexpr, G: tl.constexpr, F: tl.constexpr,
    NOISE: tl.constexpr, GENERATOR_MASK: tl.constexpr, FACTOR_MASK: tl.constexpr,
    GENERATOR_USED: tl.constexpr, CONTROLLER_USED: tl.constexpr, INPUTS_USED: tl.constexpr,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """Walk from the last bin to the first; the parts of decoder_forward in reverse."""
    member = tl.program_id(0).to(tl.int64)
    trials = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    rows_in = trials < B
    row_at = member * B + trials
    for back in tl.range(T, num_stages=1):
        t = T - 1 - back
        at = (member * T + t) * B + trials
        before = (member * (T + 1) + t) * B + trials
        place = Place(member, t, trials, at, row_at, rows_in)
        generator = CellBack(
            gates=arrays.generator_gates + at * 3 * G,
            before=arrays.generator_states + before * G,
            of_gates=arrays.of_generator_gates + at * 3 * G,
            carry=arrays.generator_carry + row_at * G,
            recurrent=arrays.generator_recurrent + member * 3 * G * G,
        )
        through_factors(
            arrays, generator, generator_mask, place, before + B, clip, G, F, GENERATOR_MASK,
            GENERATOR_USED, COLUMNS, CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        tl.debug_barrier()
        through_reset(generator, G, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        through_carry(generator, G, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        through_inference(
            arrays, generator.of_gates, noise, place, U, G, NOISE, INPUTS_USED, CHUNK, PRECISION,
            EMULATED,
        )  # fmt: skip
        tl.debug_barrier()
        controller = CellBack(
            gates=arrays.controller_gates + at * 3 * C,
            before=arrays.controller_states + before * C,
            of_gates=arrays.of_controller_gates + at * 3 * C,
            carry=arrays.controller_carry + row_at * C,
            recurrent=arrays.controller_recurrent + member * 3 * C * C,
        )
        through_posterior(
            arrays, controller, place, clip, C, U, CONTROLLER_USED, COLUMNS, CHUNK, PRECISION,
            EMULATED,
        )  # fmt: skip
        tl.debug_barrier()
        through_reset(controller, C, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        tl.debug_barrier()
        through_carry(controller, C, rows_in, COLUMNS, CHUNK, PRECISION, EMULATED)
        through_dropout(
            arrays, controller.of_gates, factor_mask, place, before, C, F, FACTOR_MASK, COLUMNS,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        tl.debug_barrier()


@triton.jit
def through_factors(
    arrays, generator, draw, place, after, clip, G: tl.constexpr, F: tl.constexpr,
    MASK: tl.constexpr, USED: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr,
    PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """From the factors of bin t, and the bin after it, to the generator's new state."""
    for first in range(0, G, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < G
        inside = place.rows_in & columns_in
        arriving = tl.zeros((place.rows_in.shape[0], COLUMNS), tl.float32)
        arriving = product(
            arriving, arrays.of_factors + after * F, F,
            arrays.from_factors + place.member * F * G + j, G, place.rows_in, columns_in, CHUNK,
            PRECISION, EMULATED,
        )  # fmt: skip
        if MASK != NOTHING:
            arriving *= mask_at(draw, place, j, G, MASK)
        arriving += tl.load(generator.carry + j, mask=inside, other=0.0)
        if USED:
            arriving += tl.load(
                arrays.of_generator_states + place.at * G + j, mask=inside, other=0.0
            )
        through_output(generator, arriving, j, G, place.rows_in, clip)


@triton.jit
def through_inference(
    arrays, of_gates, noise, place, U: tl.constexpr, G: tl.constexpr, NOISE: tl.constexpr,
    USED: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """From the generator's gates to mean and log-variance of the inferred input."""
    for first in range(0, U, 16):
        j = first + tl.arange(0, 16)[None, :]
        columns_in = j < U
        inside = place.rows_in & columns_in
        of_value = tl.zeros((place.rows_in.shape[0], 16), tl.float32)
        of_value = product(
            of_value, of_gates, 3 * G, arrays.generator_input + place.member * 3 * G * U + j, U,
            place.rows_in, columns_in, CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        if USED:
            of_value += tl.load(arrays.of_inputs + place.at * U + j, mask=inside, other=0.0)
        to = arrays.of_posterior + place.at * 2 * U + j
        tl.store(to, tl.load(to, mask=inside, other=0.0) + of_value, mask=inside)
        if NOISE != NOTHING:
            log_variance = tl.load(
                arrays.posterior + place.at * 2 * U + U + j, mask=inside, other=0.0
            )
            spread = tl.exp(0.5 * log_variance) * noise_at(noise, place, j, U, NOISE)
            of_variance = tl.load(to + U, mask=inside, other=0.0) + 0.5 * of_value * spread
            tl.store(to + U, of_variance, mask=inside)


@triton.jit
def through_posterior(
    arrays, controller, place, clip, C: tl.constexpr, U: tl.constexpr, USED: tl.constexpr,
    COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """From mean and log-variance of bin t, and the bin after it, to the controller's new state."""
    for first in range(0, C, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < C
        inside = place.rows_in & columns_in
        arriving = tl.load(controller.carry + j, mask=inside, other=0.0)
        arriving = product(
            arriving, arrays.of_posterior + place.at * 2 * U, 2 * U,
            arrays.output_weight + place.member * 2 * U * C + j, C, place.rows_in, columns_in,
            CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        if USED:
            arriving += tl.load(
                arrays.of_controller_states + place.at * C + j, mask=inside, other=0.0
            )
        through_output(controller, arriving, j, C, place.rows_in, clip)


@triton.jit
def through_dropout(
    arrays, of_gates, draw, place, before, C: tl.constexpr, F: tl.constexpr, MASK: tl.constexpr,
    COLUMNS: tl.constexpr, CHUNK: tl.constexpr, PRECISION: tl.constexpr, EMULATED: tl.constexpr,
):  # fmt: skip
    """From what the controller saw in bin t, after its mask, to the factors of the bin before."""
    for first in range(0, F, COLUMNS):
        j = first + tl.arange(0, COLUMNS)[None, :]
        columns_in = j < F
        inside = place.rows_in & columns_in
        of_seen = tl.zeros((place.rows_in.shape[0], COLUMNS), tl.float32)
        of_seen = product(
            of_seen, of_gates, 3 * C, arrays.controller_input + place.member * 3 * C * F + j, F,
            place.rows_in, columns_in, CHUNK, PRECISION, EMULATED,
        )  # fmt: skip
        if MASK != NOTHING:
            of_seen *= mask_at(draw, place, j, F, MASK)
        to = arrays.of_factors + before * F + j
        tl.store(to, tl.load(to, mask=inside, other=0.0) + of_seen, mask=inside)
