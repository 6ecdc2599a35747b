"""The forward loop of the portable backend with a controller: bin by bin, everything kept.

Axes as in reference.py. See README.md in this folder for the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lfads_torch.kernels.gru.cell import CellForward, CellTape, new_tape, project, time_blocks

__all__ = ["Arguments", "Tape", "generate"]


class Arguments(NamedTuple):
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


class Tape(NamedTuple):
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

    def blocks(self) -> list[slice]:
        return time_blocks(*self.posterior.shape[1:3])

    def tensors(self) -> tuple[Tensor, ...]:
        """What `of` takes to build the same tape again."""
        return (*self.controller.tensors(), *self.generator.tensors(), *self[2:])

    @staticmethod
    def of(tensors: Sequence[Tensor]) -> Tape:
        """The inverse of `tensors`."""
        return Tape(CellTape(*tensors[:4]), CellTape(*tensors[4:8]), *tensors[8:])


def generate(given: Arguments, clip: float) -> Tape:
    """Generate all bins, keeping everything."""
    tape = _begin(given, clip)
    n_encoded, n_inferred = given.encoder_states.shape[-1], given.n_inferred
    from_factors = given.controller_input[:, n_encoded:]
    from_inputs = given.generator_input[:, :n_inferred]
    controller = CellForward(tape.controller, given.controller_recurrent, from_factors, clip=clip)
    generator = CellForward(tape.generator, given.generator_recurrent, from_inputs, clip=clip)
    between = _Between(given, tape)
    for block in tape.blocks():
        _project(given, tape, block)
        for t in range(block.start, block.stop):
            between.see(t)
            between.infer(t, controller.step(t))
            between.read(t, generator.step(t))
    return tape


def _project(given: Arguments, tape: Tape, block: slice) -> None:
    """Start the gates of a block of bins from what is known in advance."""
    at = (slice(None), block)
    encoded = given.encoder_states[:, block]
    weight = given.controller_input[:, : encoded.shape[-1]]
    project(tape.controller, encoded, weight, given.controller_bias, at)
    external = given.external_inputs
    external = encoded[..., :0] if external is None else external[:, block]
    weight = given.generator_input[:, given.n_inferred :]
    project(tape.generator, external, weight, given.generator_bias, at)


def _begin(given: Arguments, clip: float) -> Tape:
    """The tape before the first bin."""
    start = given.generator_state
    n_members, n_bins, n_trials, _ = given.encoder_states.shape
    n_inferred, n_factors = given.n_inferred, given.n_factors
    control_start = given.controller_state[:, None].expand(-1, n_trials, -1)
    generator = new_tape(start, n_bins, n_inputs=n_inferred, clip=clip)
    has_mask = not (given.generator_mask is None and given.initial_generator_mask is None)
    dropped = torch.empty_like(generator.states) if has_mask else generator.states
    if given.initial_generator_mask is not None:
        torch.mul(start, given.initial_generator_mask, out=dropped[:, 0])
    elif has_mask:
        dropped[:, 0] = start
    tape = Tape(
        new_tape(control_start, n_bins, n_inputs=n_factors, clip=clip),
        generator,
        posterior=start.new_empty(n_members, n_bins, n_trials, 2 * n_inferred),
        deviation=start.new_empty(n_members, n_bins, n_trials, n_inferred),
        factors=start.new_empty(n_members, n_bins + 1, n_trials, n_factors),
        dropped=dropped,
    )
    torch.bmm(dropped[:, 0], given.to_factors.mT, out=tape.factors[:, 0])
    return tape


class _Between:
    """What happens between the two cells in every bin."""

    def __init__(self, given: Arguments, tape: Tape) -> None:
        self._to_factors = given.to_factors.mT
        self._output_weight, self._output_bias = given.output_weight, given.output_bias[:, None]
        self._seen, self._inputs = tape.controller.inputs.unbind(1), tape.generator.inputs.unbind(1)
        self._factors, self._dropped = tape.factors.unbind(1), tape.dropped.unbind(1)
        self._posterior, self._deviation = tape.posterior.unbind(1), tape.deviation.unbind(1)
        self._mean, self._log_variance = (
            part.unbind(1) for part in torch.split(tape.posterior, given.n_inferred, -1)
        )
        self._noise, self._factor_mask, self._generator_mask = (
            None if fixed is None else fixed.unbind(1)
            for fixed in (given.noise, given.factor_mask, given.generator_mask)
        )
        self._copies_states = given.initial_generator_mask is not None

    def see(self, t: int) -> None:
        """The factors of the bin before, dropped out, go to the controller."""
        if self._factor_mask is None:
            self._seen[t].copy_(self._factors[t])
        else:
            torch.mul(self._factors[t], self._factor_mask[t], out=self._seen[t])

    def infer(self, t: int, control_state: Tensor) -> None:
        """The controller's state gives the posterior, and that the input to the generator."""
        out = self._posterior[t]
        torch.baddbmm(self._output_bias, control_state, self._output_weight, out=out)
        deviation = torch.mul(self._log_variance[t], 0.5, out=self._deviation[t]).exp_()
        if self._noise is None:
            self._inputs[t].copy_(self._mean[t])
        else:
            torch.addcmul(self._mean[t], deviation, self._noise[t], out=self._inputs[t])

    def read(self, t: int, state: Tensor) -> None:
        """The factors of the generator's new state."""
        dropped = self._dropped[t + 1]
        if self._generator_mask is not None:
            torch.mul(state, self._generator_mask[t], out=dropped)
        elif self._copies_states:
            dropped.copy_(state)
        torch.bmm(dropped, self._to_factors, out=self._factors[t + 1])
