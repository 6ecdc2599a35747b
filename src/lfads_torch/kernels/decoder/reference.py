"""The definition of the generation recurrence, in plain PyTorch, differentiated by autograd.

Axes: P member, T generated bin, B trial, E encoder state (both directions), C controller,
U inferred input, X external input, G generator, F factor; gates z, r, n along the last axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.generator_step import OwnCell, generator_step
from lfads_torch.kernels.gru.reference import GRUWeights, gru_cell

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "ControllerWeights",
    "DecoderInput",
    "DecoderOutput",
    "DecoderWeights",
    "OwnDecoderWeights",
    "decoder_scan",
    "infer_input",
    "unit_rows",
]


@dataclass(frozen=True)
class ControllerWeights:
    """The controller reads `[encoder state, factors]`, in this order along the input axis."""

    cell: GRUWeights  # input [P, E+F, 3C], recurrent [P, C, 3C], bias [P, 3C]
    initial_state: Float[Tensor, "P C"]
    output_weight: Float[Tensor, "P C U2"]  # to the mean, then the log-variance
    output_bias: Float[Tensor, "P U2"]


@dataclass(frozen=True)
class DecoderWeights:
    """The generator reads `[inferred input, external input]`, in this order."""

    generator: GRUWeights  # input [P, U+X, 3G], recurrent [P, G, 3G], bias [P, 3G]
    factors: Float[Tensor, "P F G"]  # rows are normalised when used
    controller: ControllerWeights | None


@dataclass(frozen=True)
class OwnDecoderWeights:
    """The same with a generator that is no GRU of ours: no fast version knows it."""

    generator: OwnCell
    factors: Float[Tensor, "P F G"]
    controller: ControllerWeights | None


@dataclass(frozen=True)
class DecoderInput:
    """What generation starts from. Masks hold 0 or 1/keep; None keeps everything.

    `encoder_states` are already lagged, padded and dropped out; `external_inputs` dropped out.
    `noise` is standard normal; None takes the posterior mean of the inferred input.
    """

    generator_state: Float[Tensor, "P B G"]
    n_bins: int
    encoder_states: Float[Tensor, "P T B E"] | None = None
    external_inputs: Float[Tensor, "P T B X"] | None = None
    noise: Float[Tensor, "P T B U"] | None = None
    initial_generator_mask: Float[Tensor, "P B G"] | None = None
    generator_mask: Float[Tensor, "P T B G"] | None = None
    factor_mask: Float[Tensor, "P T B F"] | None = None


@dataclass(frozen=True)
class DecoderOutput:
    """Every signal, aligned to the generated bins. Without a controller its signals are None."""

    factors: Float[Tensor, "P T B F"]
    generator_states: Float[Tensor, "P T B G"]
    controller_states: Float[Tensor, "P T B C"] | None
    input_mean: Float[Tensor, "P T B U"] | None
    input_log_variance: Float[Tensor, "P T B U"] | None
    inputs: Float[Tensor, "P T B U"] | None


def unit_rows(matrix: Float[Tensor, "P F G"]) -> Float[Tensor, "P F G"]:
    """The matrix with every row scaled to unit length; a row of zeros stays."""
    length: Tensor = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    return matrix / length.clamp_min(1e-12)


def decoder_scan(
    given: DecoderInput, weights: DecoderWeights | OwnDecoderWeights, *, clip: float
) -> DecoderOutput:
    """Generate the factors bin by bin; all backends must agree with this one.

    For each bin t: controller input `[encoder_t, dropout(f_{t-1})]` -> controller -> mean and
    log-variance of the input u_t; u_t is sampled (`mean + exp(logvar/2) * noise`) or the mean;
    generator on `[u_t, external_t]`; `f_t = W dropout(g_t)`, rows of W of unit length. `f_0`
    before the first bin comes from the initial generator state.
    """
    if given.n_bins < 1:
        raise ValueError("decoder_scan needs at least one bin to generate")
    to_factors = unit_rows(weights.factors).transpose(1, 2)
    generator = generator_step(
        weights.generator,
        given.external_inputs,
        n_bins=given.n_bins,
        n_trials=given.generator_state.shape[1],
        clip=clip,
    )
    state = generator.start(given.generator_state)
    controller = weights.controller
    factors = _masked(state, given.initial_generator_mask) @ to_factors
    # unbind, not indexing: the gradient of each x[:, t] would be a zero tensor of the size of x.
    encoder_gates = _encoder_gates(given, controller)
    per_bin = None if encoder_gates is None else encoder_gates.unbind(1)
    control_state = (
        None
        if controller is None
        else controller.initial_state[:, None].expand(-1, state.shape[1], -1)
    )
    record = _Record()
    for t in range(given.n_bins):
        inputs = None
        if controller is not None and control_state is not None and per_bin is not None:
            seen = _masked(factors, None if given.factor_mask is None else given.factor_mask[:, t])
            from_factors = controller.cell.input[:, -factors.shape[-1] :]
            control_gates = torch.baddbmm(per_bin[t], seen, from_factors)
            control_state = gru_cell(
                control_gates, control_state, controller.cell.recurrent, clip=clip
            )
            mean, log_variance, inputs = infer_input(
                control_state, controller, None if given.noise is None else given.noise[:, t]
            )
            record.control(control_state, mean, log_variance, inputs)
        state = generator.step(t, inputs, state)
        dropped = _masked(
            state, None if given.generator_mask is None else given.generator_mask[:, t]
        )
        factors = dropped @ to_factors
        record.generator(state, factors)
    return record.stacked()


class _Record:
    """The signals of all bins, gathered in lists and stacked once."""

    def __init__(self) -> None:
        self._lists: tuple[list[Tensor], ...] = ([], [], [], [], [], [])

    def generator(self, state: Tensor, factors: Tensor) -> None:
        self._lists[0].append(factors)
        self._lists[1].append(state)

    def control(self, *signals: Tensor) -> None:
        for kept, signal in zip(self._lists[2:], signals, strict=True):
            kept.append(signal)

    def stacked(self) -> DecoderOutput:
        factors, generator_states, *control = (
            torch.stack(kept, 1) if kept else None for kept in self._lists
        )
        if factors is None or generator_states is None:
            raise AssertionError("every bin records its factors and its generator state")
        return DecoderOutput(factors, generator_states, *control)


def _masked(value: Tensor, mask: Tensor | None) -> Tensor:
    return value if mask is None else value * mask


def _encoder_gates(given: DecoderInput, controller: ControllerWeights | None) -> Tensor | None:
    """The encoder's share of the controller's gates, for all bins in one product: [P, T, B, 3C]."""
    if controller is None or given.encoder_states is None:
        return None
    n_members, n_bins, n_trials, size = given.encoder_states.shape
    flat = given.encoder_states.reshape(n_members, n_bins * n_trials, size)
    gates = torch.baddbmm(controller.cell.bias[:, None], flat, controller.cell.input[:, :size])
    return gates.view(n_members, n_bins, n_trials, -1)


def infer_input(
    control_state: Tensor, controller: ControllerWeights, noise: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, log-variance and value of the inferred input of one bin."""
    posterior = torch.baddbmm(
        controller.output_bias[:, None], control_state, controller.output_weight
    )
    mean, log_variance = posterior.chunk(2, -1)
    inputs = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
    return mean, log_variance, inputs
