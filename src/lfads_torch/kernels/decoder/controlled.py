"""Generation with a controller: the loop of the portable backend and its backward pass.

Axes as in reference.py. See README.md in this folder for the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.decoder.reference import (
    ControllerWeights,
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
    unit_rows,
)
from lfads_torch.kernels.gru.cell import CellBackward, CellForward, CellTape, new_tape, project

__all__ = ["generate"]


def generate(
    given: DecoderInput, weights: DecoderWeights, controller: ControllerWeights, *, clip: float
) -> DecoderOutput:
    """Generate with inferred inputs; `given.encoder_states` must be there."""
    external = given.external_inputs
    arguments = _Arguments(
        generator_state=given.generator_state,
        encoder_states=_bins(given.encoder_states, given.n_bins),
        external_inputs=None if external is None else _bins(external, given.n_bins),
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
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in arguments):
        return DecoderOutput(*_Generation.apply(clip, *arguments))
    return DecoderOutput(*(signal.contiguous() for signal in _run(arguments, clip).signals()))


def _bins(signal: Tensor, n_bins: int) -> Tensor:
    if signal.shape[1] < n_bins:
        raise ValueError(f"decoder_scan has {signal.shape[1]} bins of input; {n_bins} are needed")
    return signal[:, :n_bins]


class _Arguments(NamedTuple):
    """What the loop reads, in the order in which autograd sees it."""

    generator_state: Tensor  # [P, B, G]
    encoder_states: Tensor  # [P, T, B, E]
    external_inputs: Tensor | None  # [P, T, B, X]
    noise: Tensor | None  # [P, T, B, U]
    initial_generator_mask: Tensor | None  # [P, B, G]
    generator_mask: Tensor | None  # [P, T, B, G]
    factor_mask: Tensor | None  # [P, T, B, F]
    controller_input: Tensor  # [P, E+F, 3C]
    controller_recurrent: Tensor  # [P, C, 3C]
    controller_bias: Tensor  # [P, 3C]
    controller_state: Tensor  # [P, C]
    output_weight: Tensor  # [P, C, 2U]
    output_bias: Tensor  # [P, 2U]
    generator_input: Tensor  # [P, U+X, 3G]
    generator_recurrent: Tensor  # [P, G, 3G]
    generator_bias: Tensor  # [P, 3G]
    to_factors: Tensor  # [P, F, G], rows of unit length

    @property
    def n_factors(self) -> int:
        return self.to_factors.shape[1]

    @property
    def n_inferred(self) -> int:
        return self.output_weight.shape[-1] // 2

    @property
    def n_external(self) -> int:
        return 0 if self.external_inputs is None else self.external_inputs.shape[-1]


class _Tape(NamedTuple):
    """All that the loop made. Entry 0 of `factors` and `dropped` belongs to the initial state."""

    controller: CellTape  # its inputs are the factors of the bin before, dropped out
    generator: CellTape  # its inputs are the inferred inputs
    posterior: Tensor  # [P, T, B, 2U]
    deviation: Tensor  # [P, T, B, U], standard deviation of the inferred input
    factors: Tensor  # [P, T+1, B, F]
    dropped: Tensor  # [P, T+1, B, G], the generator states after dropout

    def signals(self) -> tuple[Tensor, ...]:
        """In the order of DecoderOutput."""
        n_inferred = self.deviation.shape[-1]
        return (
            self.factors[:, 1:],
            self.generator.states[:, 1:],
            self.controller.states[:, 1:],
            self.posterior[..., :n_inferred],
            self.posterior[..., n_inferred:],
            self.generator.inputs[:, :-1],
        )

    def tensors(self) -> list[Tensor]:
        cells = [getattr(c, f.name) for c in (self.controller, self.generator) for f in fields(c)]
        return [*cells, *self[2:]]

    @staticmethod
    def of(tensors: Sequence[Tensor]) -> _Tape:
        """The inverse of `tensors`."""
        return _Tape(CellTape(*tensors[:4]), CellTape(*tensors[4:8]), *tensors[8:])


class _Generation(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, clip: float, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        arguments = _Arguments(*tensors)
        tape = _run(arguments, clip)
        ctx.save_for_backward(*arguments, *tape.tensors())
        return tape.signals()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        n_arguments = len(_Arguments._fields)
        arguments = _Arguments(*ctx.saved_tensors[:n_arguments])
        walk = _WalkBack(arguments, _Tape.of(ctx.saved_tensors[n_arguments:]), arriving)
        walk.run()
        needed = _Arguments(*ctx.needs_input_grad[1:])
        return (None, *walk.gradients(needed))


def _run(given: _Arguments, clip: float) -> _Tape:
    """Generate all bins, keeping everything."""
    tape, controller, generator = _begin(given, clip)
    to_factors = given.to_factors.mT
    output_bias = given.output_bias[:, None]
    n_inferred = given.n_inferred
    seen, inputs = tape.controller.inputs.unbind(1), tape.generator.inputs.unbind(1)
    factors, dropped = tape.factors.unbind(1), tape.dropped.unbind(1)
    posterior, deviation = tape.posterior.unbind(1), tape.deviation.unbind(1)
    for t in range(len(posterior)):
        _mask(factors[t], given.factor_mask, t, out=seen[t])
        state = controller.step(t)
        torch.baddbmm(output_bias, state, given.output_weight, out=posterior[t])
        mean, log_variance = posterior[t].split(n_inferred, -1)
        torch.mul(log_variance, 0.5, out=deviation[t]).exp_()
        if given.noise is None:
            inputs[t].copy_(mean)
        else:
            torch.addcmul(mean, deviation[t], given.noise[:, t], out=inputs[t])
        state = generator.step(t)
        if given.generator_mask is not None:
            torch.mul(state, given.generator_mask[:, t], out=dropped[t + 1])
        elif given.initial_generator_mask is not None:
            dropped[t + 1].copy_(state)
        torch.bmm(dropped[t + 1], to_factors, out=factors[t + 1])
    return tape


def _begin(given: _Arguments, clip: float) -> tuple[_Tape, CellForward, CellForward]:
    """The tape up to the first bin, with everything projected that is known in advance."""
    start, encoded = given.generator_state, given.encoder_states
    n_members, n_bins, n_trials, n_encoded = encoded.shape
    n_inferred, n_factors = given.n_inferred, given.n_factors
    control_start = given.controller_state[:, None].expand(-1, n_trials, -1)
    controller = new_tape(control_start, n_bins, n_inputs=n_factors, clip=clip)
    generator = new_tape(start, n_bins, n_inputs=n_inferred, clip=clip)
    project(controller, encoded, given.controller_input[:, :n_encoded], given.controller_bias)
    external = given.external_inputs
    if external is None:
        external = start.new_empty(n_members, n_bins, n_trials, 0)
    project(generator, external, given.generator_input[:, n_inferred:], given.generator_bias)
    has_mask = not (given.generator_mask is None and given.initial_generator_mask is None)
    dropped = torch.empty_like(generator.states) if has_mask else generator.states
    if given.initial_generator_mask is not None:
        torch.mul(start, given.initial_generator_mask, out=dropped[:, 0])
    elif has_mask:
        dropped[:, 0] = start
    tape = _Tape(
        controller,
        generator,
        posterior=start.new_empty(n_members, n_bins, n_trials, 2 * n_inferred),
        deviation=start.new_empty(n_members, n_bins, n_trials, n_inferred),
        factors=start.new_empty(n_members, n_bins + 1, n_trials, n_factors),
        dropped=dropped,
    )
    torch.bmm(dropped[:, 0], given.to_factors.mT, out=tape.factors[:, 0])
    from_factors = given.controller_input[:, n_encoded:]
    control_cell = CellForward(controller, given.controller_recurrent, from_factors, clip=clip)
    from_inputs = given.generator_input[:, :n_inferred]
    return (
        tape,
        control_cell,
        CellForward(generator, given.generator_recurrent, from_inputs, clip=clip),
    )


def _mask(value: Tensor, mask: Tensor | None, t: int, *, out: Tensor) -> None:
    if mask is None:
        out.copy_(value)
    else:
        torch.mul(value, mask[:, t], out=out)


class _WalkBack:
    """The backward pass: from the last bin to the first, then all weights at once."""

    def __init__(self, given: _Arguments, tape: _Tape, arriving: Sequence[Tensor | None]) -> None:
        self._given, self._tape = given, tape
        n_inferred, n_encoded = given.n_inferred, given.encoder_states.shape[-1]
        for_factors, for_states, for_control, for_mean, for_log_variance, for_inputs = arriving
        self._arriving = [
            None if g is None else g.unbind(1) for g in (for_states, for_control, for_inputs)
        ]
        self._controller = CellBackward(
            tape.controller, given.controller_recurrent, given.controller_input[:, n_encoded:]
        )
        self._generator = CellBackward(
            tape.generator, given.generator_recurrent, given.generator_input[:, :n_inferred]
        )
        self._factors = torch.zeros_like(tape.factors)
        self._posterior = torch.zeros_like(tape.posterior)
        if for_factors is not None:
            self._factors[:, 1:] = for_factors
        if for_mean is not None:
            self._posterior[..., :n_inferred] = for_mean
        if for_log_variance is not None:
            self._posterior[..., n_inferred:] = for_log_variance
        self._state = torch.zeros_like(given.generator_state)
        self._control_state = torch.zeros_like(tape.controller.candidate[:, 0])

    def run(self) -> None:
        given, tape = self._given, self._tape
        for_states, for_control, for_inputs = self._arriving
        factors, posterior = self._factors.unbind(1), self._posterior.unbind(1)
        means, log_variances = (
            part.unbind(1) for part in self._posterior.split(given.n_inferred, -1)
        )
        to_log_variance = None
        if given.noise is not None:  # u = m + exp(v / 2) e, so du / dv = exp(v / 2) e / 2
            to_log_variance = (tape.deviation * given.noise).mul_(0.5).unbind(1)
        from_posterior = given.output_weight.mT
        for t in range(len(posterior) - 1, -1, -1):
            if given.generator_mask is None:
                self._state.baddbmm_(factors[t + 1], given.to_factors)
            else:
                dropped = torch.bmm(factors[t + 1], given.to_factors)
                self._state.addcmul_(dropped, given.generator_mask[:, t])
            _add(self._state, for_states, t)
            self._generator.step(t, self._state)
            inputs = self._generator.inputs(t)
            _add(inputs, for_inputs, t)
            means[t].add_(inputs)
            if to_log_variance is not None:
                log_variances[t].addcmul_(inputs, to_log_variance[t])
            self._control_state.baddbmm_(posterior[t], from_posterior)
            _add(self._control_state, for_control, t)
            self._controller.step(t, self._control_state)
            seen = self._controller.inputs(t)
            if given.factor_mask is None:
                factors[t].add_(seen)
            else:
                factors[t].addcmul_(seen, given.factor_mask[:, t])
        initial = torch.bmm(factors[0], given.to_factors)
        if given.initial_generator_mask is not None:
            initial.mul_(given.initial_generator_mask)
        self._state.add_(initial)

    def gradients(self, needed: _Arguments) -> _Arguments:
        """The gradient of every argument that `needed` marks, after `run`."""
        given, tape = self._given, self._tape
        controller, generator = self._controller, self._generator
        n_encoded, n_inferred = given.encoder_states.shape[-1], given.n_inferred
        posterior = self._posterior.flatten(1, 2)
        states = tape.controller.states[:, 1:].flatten(1, 2)
        external = needed.external_inputs and given.n_external
        return _Arguments(
            generator_state=self._state,
            encoder_states=controller.given(given.controller_input[:, :n_encoded])
            if needed.encoder_states
            else None,
            external_inputs=generator.given(given.generator_input[:, n_inferred:])
            if external
            else None,
            noise=None,
            initial_generator_mask=None,
            generator_mask=None,
            factor_mask=None,
            controller_input=torch.cat(
                [
                    controller.input_weight(given.encoder_states),
                    controller.input_weight(tape.controller.inputs[:, :-1]),
                ],
                1,
            ),
            controller_recurrent=controller.recurrent_weight(),
            controller_bias=controller.bias(),
            controller_state=self._control_state.sum(1),
            output_weight=states.mT @ posterior,
            output_bias=posterior.sum(1),
            generator_input=self._generator_input(),
            generator_recurrent=generator.recurrent_weight(),
            generator_bias=generator.bias(),
            to_factors=self._factors.flatten(1, 2).mT @ tape.dropped.flatten(1, 2),
        )

    def _generator_input(self) -> Tensor:
        inferred = self._generator.input_weight(self._tape.generator.inputs[:, :-1])
        external = self._given.external_inputs
        if external is None or external.shape[-1] == 0:
            return inferred
        return torch.cat([inferred, self._generator.input_weight(external)], 1)


def _add(target: Tensor, gradients: Sequence[Tensor] | None, t: int) -> None:
    if gradients is not None:
        target.add_(gradients[t])
