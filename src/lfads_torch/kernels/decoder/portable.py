"""The generation recurrence with a hand-written backward pass, in PyTorch operations.

Without a controller, generation is a scan over what is known in advance, and the factors are one
product after it. With one, both cells advance together: forward.py and backward.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.decoder.backward import WalkBack
from lfads_torch.kernels.decoder.forward import Arguments, Tape, generate
from lfads_torch.kernels.decoder.reference import (
    ControllerWeights,
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
    unit_rows,
)
from lfads_torch.kernels.gru.portable import scan_from
from lfads_torch.kernels.gru.reference import GRUWeights

__all__ = ["decoder_scan"]


def decoder_scan(given: DecoderInput, weights: DecoderWeights, *, clip: float) -> DecoderOutput:
    """The same as `reference.decoder_scan`, which defines it. No second derivatives.

    Noise and masks get no gradient.
    """
    if given.n_bins < 1:
        raise ValueError("decoder_scan needs at least one bin to generate")
    if weights.controller is None or given.encoder_states is None:
        return _generate_freely(given, weights, clip)
    arguments = _arguments(given, weights, weights.controller, given.encoder_states)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in arguments):
        return DecoderOutput(*_Generation.apply(clip, *arguments))  # type: ignore[no-untyped-call]
    return DecoderOutput(*(s.contiguous() for s in generate(arguments, clip).signals()))


class _Generation(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, clip: float, *arguments: Any) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        tape = generate(Arguments(*arguments), clip)
        ctx.save_for_backward(*arguments, *tape.tensors())
        return tape.signals()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        names = Arguments._fields
        given = Arguments(*ctx.saved_tensors[: len(names)])
        walk = WalkBack(given, Tape.of(ctx.saved_tensors[len(names) :]), arriving)
        gradients = walk.run(dict(zip(names, ctx.needs_input_grad[1:], strict=True)))
        return (None, *(gradients.get(name) for name in names))


def _arguments(
    given: DecoderInput,
    weights: DecoderWeights,
    controller: ControllerWeights,
    encoder_states: Tensor,
) -> Arguments:
    external = given.external_inputs
    return Arguments(
        generator_state=given.generator_state,
        encoder_states=_first_bins(encoder_states, given.n_bins),
        external_inputs=None if external is None else _first_bins(external, given.n_bins),
        noise=given.noise,
        initial_generator_mask=given.initial_generator_mask,
        generator_mask=given.generator_mask,
        factor_mask=given.factor_mask,
        controller_input=controller.cell.input,
        controller_recurrent=controller.cell.recurrent,
        controller_bias=controller.cell.bias,
        controller_state=controller.initial_state,
        output_weight=controller.output_weight,
        output_bias=controller.output_bias,
        generator_input=weights.generator.input,
        generator_recurrent=weights.generator.recurrent,
        generator_bias=weights.generator.bias,
        to_factors=unit_rows(weights.factors),
    )


def _generate_freely(given: DecoderInput, weights: DecoderWeights, clip: float) -> DecoderOutput:
    """Generation without inferred inputs."""
    n_members, n_trials, _ = given.generator_state.shape
    external = given.external_inputs
    if external is None:
        external = given.generator_state.new_zeros(n_members, given.n_bins, n_trials, 0)
    external = _first_bins(external, given.n_bins)
    generator = weights.generator
    n_unused = generator.input.shape[1] - external.shape[-1]
    one_direction = GRUWeights(
        generator.input[:, None, n_unused:], generator.recurrent[:, None], generator.bias[:, None]
    )
    start = given.generator_state[:, None]
    states = scan_from(external, start, one_direction, reverse=(False,), clip=clip)[:, 0]
    dropped = states if given.generator_mask is None else states * given.generator_mask
    factors = dropped.flatten(1, 2) @ unit_rows(weights.factors).mT
    factors = factors.unflatten(1, (given.n_bins, n_trials))
    return DecoderOutput(factors, states, None, None, None, None)


def _first_bins(signal: Tensor, n_bins: int) -> Tensor:
    if signal.shape[1] < n_bins:
        raise ValueError(f"decoder_scan has {signal.shape[1]} bins of input; {n_bins} are needed")
    return signal[:, :n_bins]
