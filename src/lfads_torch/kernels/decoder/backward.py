"""The backward pass of the portable backend with a controller, from the last bin to the first.

Axes as in reference.py. See README.md in this folder for the equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.forward import Arguments, Tape
from lfads_torch.kernels.gru.cell import CellBackward

__all__ = ["WalkBack"]


class WalkBack:
    """`arriving` are the gradients of the outputs in the order of DecoderOutput, or None."""

    def __init__(self, given: Arguments, tape: Tape, arriving: Sequence[Tensor | None]) -> None:
        self._given, self._tape, self._blocks = given, tape, tape.blocks()
        n_encoded, n_inferred = given.encoder_states.shape[-1], given.n_inferred
        from_encoder, from_factors = given.controller_input.tensor_split([n_encoded], 1)
        from_inferred, from_external = given.generator_input.tensor_split([n_inferred], 1)
        self._controller = CellBackward(
            tape.controller, given.controller_recurrent, from_factors, blocks=self._blocks
        )
        self._generator = CellBackward(
            tape.generator, given.generator_recurrent, from_inferred, blocks=self._blocks
        )
        self._encoder = _Projection(given.encoder_states, from_encoder, self._controller)
        self._external = _Projection(given.external_inputs, from_external, self._generator)
        self._state = given.generator_state.new_zeros(given.generator_state.shape)
        self._control_state = self._state.new_zeros(tape.controller.candidate[:, 0].shape)
        self._of_dropped = torch.empty_like(self._state)
        self._prepare(*arriving)

    def _prepare(
        self,
        factors: Tensor | None,
        generator_states: Tensor | None,
        controller_states: Tensor | None,
        *inferred: Tensor | None,
    ) -> None:
        """Sort what arrives into the buffers that the walk adds to, and cut all by bins."""
        given, tape = self._given, self._tape
        self._of_factors = torch.zeros_like(tape.factors)
        if factors is not None:
            self._of_factors[:, 1:] = factors
        self._of_posterior = torch.zeros_like(tape.posterior)
        parts = torch.split(self._of_posterior, given.n_inferred, -1)
        for part, gradient in zip(parts, inferred[:2], strict=True):
            if gradient is not None:
                part.copy_(gradient)
        self._mean, self._log_variance = (part.unbind(1) for part in parts)
        self._factors, self._posterior = self._of_factors.unbind(1), self._of_posterior.unbind(1)
        self._for_states, self._for_control = (
            _per_bin(generator_states),
            _per_bin(controller_states),
        )
        self._for_inputs = _per_bin(inferred[2])
        self._generator_mask = _per_bin(given.generator_mask)
        self._factor_mask = _per_bin(given.factor_mask)
        # u = mean + exp(v / 2) noise, so that du / dv = exp(v / 2) noise / 2
        noise = given.noise
        self._spread = _per_bin(None if noise is None else (tape.deviation * noise).mul_(0.5))
        self._from_posterior = given.output_weight.mT

    def run(self, needed: Mapping[str, bool]) -> dict[str, Tensor | None]:
        """The gradient of each argument by its name; of the signals only those in `needed`."""
        for block in reversed(self._blocks):
            self._generator.open(block)
            self._controller.open(block)
            for t in range(block.stop - 1, block.start - 1, -1):
                self._through_factors(t)
                self._generator.step(t, self._state)
                self._through_inference(t)
                self._controller.step(t, self._control_state)
                self._through_dropout(t)
            self._generator.close()
            self._controller.close()
            self._encoder.add(block, needs_signal=needed["encoder_states"])
            self._external.add(block, needs_signal=needed["external_inputs"])
        initial = torch.bmm(self._factors[0], self._given.to_factors)
        if self._given.initial_generator_mask is not None:
            initial.mul_(self._given.initial_generator_mask)
        self._state.add_(initial)
        return self._gradients()

    def _through_factors(self, t: int) -> None:
        """From the factors of bin t to the state they are read from."""
        if self._generator_mask is None:
            self._state.baddbmm_(self._factors[t + 1], self._given.to_factors)
        else:
            torch.bmm(self._factors[t + 1], self._given.to_factors, out=self._of_dropped)
            self._state.addcmul_(self._of_dropped, self._generator_mask[t])
        if self._for_states is not None:
            self._state.add_(self._for_states[t])

    def _through_inference(self, t: int) -> None:
        """From the generator's input of bin t, through the posterior, to the controller's state."""
        inputs = self._generator.inputs(t)
        if self._for_inputs is not None:
            inputs.add_(self._for_inputs[t])
        self._mean[t].add_(inputs)
        if self._spread is not None:
            self._log_variance[t].addcmul_(inputs, self._spread[t])
        self._control_state.baddbmm_(self._posterior[t], self._from_posterior)
        if self._for_control is not None:
            self._control_state.add_(self._for_control[t])

    def _through_dropout(self, t: int) -> None:
        """From what the controller saw in bin t to the factors of the bin before."""
        if self._factor_mask is None:
            self._factors[t].add_(self._controller.inputs(t))
        else:
            self._factors[t].addcmul_(self._controller.inputs(t), self._factor_mask[t])

    def _gradients(self) -> dict[str, Tensor | None]:
        tape, controller, generator = self._tape, self._controller, self._generator
        control_states = tape.controller.states[:, 1:].flatten(1, 2)
        posterior = self._of_posterior.flatten(1, 2)
        return dict(
            generator_state=self._state,
            encoder_states=self._encoder.signal,
            external_inputs=self._external.signal,
            controller_input=torch.cat([self._encoder.weight, controller.input_weight], 1),
            controller_recurrent=controller.recurrent,
            controller_bias=controller.bias,
            controller_state=self._control_state.sum(1),
            output_weight=control_states.mT @ posterior,
            output_bias=posterior.sum(1),
            generator_input=torch.cat([generator.input_weight, self._external.weight], 1),
            generator_recurrent=generator.recurrent,
            generator_bias=generator.bias,
            to_factors=self._of_factors.flatten(1, 2).mT @ tape.dropped.flatten(1, 2),
        )


class _Projection:
    """The gradients of a signal known in advance and of its weights to the gates of a cell."""

    def __init__(self, given: Tensor | None, weight: Tensor, cell: CellBackward) -> None:
        self._given, self._projecting, self._cell = given, weight, cell
        self.weight = torch.zeros_like(weight)
        self.signal: Tensor | None = None

    def add(self, block: slice, *, needs_signal: bool) -> None:
        """Add the share of a block, whose gates the cell still holds."""
        if self._given is None or self._given.shape[-1] == 0:
            return
        gates = self._cell.gates.flatten(1, 2)
        self.weight.baddbmm_(self._given[:, block].flatten(1, 2).mT, gates)
        if not needs_signal:
            return
        if self.signal is None:
            self.signal = self._given.new_empty(self._given.shape)
        torch.bmm(gates, self._projecting.mT, out=self.signal[:, block].flatten(1, 2))


def _per_bin(signal: Tensor | None) -> tuple[Tensor, ...] | None:
    return None if signal is None else signal.unbind(1)
