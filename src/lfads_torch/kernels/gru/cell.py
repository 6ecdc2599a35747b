"""One gated cell, stepped by hand forward and backward. Both operations are built from it.

Axes: G cell (members times directions), T step in the order it runs, B trial, H hidden unit,
K input that is only known at its own step (factors, inferred inputs; 0 for encoders).
See README.md in this folder for the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CellBackward", "CellForward", "CellTape", "new_tape", "project"]

_BLOCK_ELEMENTS = 65536  # about what stays in a core's cache while a block of steps is worked on


@dataclass(frozen=True)
class CellTape:
    """Everything that a cell's backward pass needs, written in place while the cell runs.

    The columns of `operands` stand side by side so that each of the two products of a step reads
    one block: `[state, inputs]` for update and reset, `[inputs, reset * state]` for the candidate.
    Entry T of `operands` holds the last state. `unclipped` covers the steps that can clip at all.
    """

    operands: Tensor  # [G, T+1, B, H+K+H]
    update_reset: Tensor  # [G, T, B, 2H]
    candidate: Tensor  # [G, T, B, H]
    unclipped: Tensor  # [G, S, B, H], bool

    @property
    def size(self) -> int:
        return self.candidate.shape[-1]

    @property
    def states(self) -> Tensor:
        """The states with the initial one first: [G, T+1, B, H]."""
        return self.operands[..., : self.size]

    @property
    def inputs(self) -> Tensor:
        """The inputs of each step, and a last entry that nothing reads: [G, T+1, B, K]."""
        return self.operands[..., self.size : -self.size]

    @property
    def reset_states(self) -> Tensor:
        """The state times the reset gate: [G, T+1, B, H]."""
        return self.operands[..., -self.size :]


def new_tape(initial_state: Tensor, n_steps: int, *, n_inputs: int, clip: float) -> CellTape:
    """An empty tape that starts at `initial_state` [G, B, H].

    After the first step a state is a convex mix of values within [-1, 1] and of a clipped state,
    so a clip of at least 1 acts on the first step only.
    """
    n_cells, n_trials, size = initial_state.shape
    n_clipped = n_steps if clip < 1 else min(1, n_steps)
    tape = CellTape(
        initial_state.new_empty(n_cells, n_steps + 1, n_trials, 2 * size + n_inputs),
        initial_state.new_empty(n_cells, n_steps, n_trials, 2 * size),
        initial_state.new_empty(n_cells, n_steps, n_trials, size),
        initial_state.new_empty(n_cells, n_clipped, n_trials, size, dtype=torch.bool),
    )
    tape.states[:, 0] = initial_state
    return tape


def project(
    tape: CellTape, given: Tensor, weight: Tensor, bias: Tensor, cells: slice = slice(None)
) -> None:
    """Fill the gates of all steps with `given W + b`; [G, T, B, I], [G, I, 3H], [G, 3H].

    `cells` selects the cells that read `given`. Without inputs (I = 0) the gates start from the
    bias alone.
    """
    boundary = 2 * tape.size
    parts = ((tape.update_reset, slice(0, boundary)), (tape.candidate, slice(boundary, None)))
    for all_gates, columns in parts:
        gates = all_gates[cells]
        if given.shape[-1] == 0:
            gates.copy_(bias[:, None, None, columns].expand_as(gates))
            continue
        torch.baddbmm(
            bias[:, None, columns],
            given.flatten(1, 2),
            weight[:, :, columns],
            out=gates.flatten(1, 2),
        )


class CellForward:
    """Runs a cell over a tape whose gates already hold what was known before the first step."""

    def __init__(
        self, tape: CellTape, recurrent: Tensor, input_weight: Tensor | None, *, clip: float
    ) -> None:
        size = tape.size
        operands = tape.operands
        if input_weight is None:
            input_weight = recurrent[:, :0]
        self._clip = clip
        self._on_cpu = operands.device.type == "cpu"
        self._to_update_reset = torch.cat([recurrent, input_weight], 1)[
            ..., : 2 * size
        ].contiguous()
        self._to_candidate = torch.cat([input_weight, recurrent], 1)[..., 2 * size :].contiguous()
        self._first = operands[..., :-size].unbind(1)
        self._second = operands[..., size:].unbind(1)
        self._states = tape.states.unbind(1)
        self._reset_states = tape.reset_states.unbind(1)
        self._update_reset = tape.update_reset.unbind(1)
        self._update = tape.update_reset[..., :size].unbind(1)
        self._reset = tape.update_reset[..., size:].unbind(1)
        self._candidate = tape.candidate.unbind(1)
        self._unclipped = tape.unclipped.unbind(1)

    def step(self, t: int) -> Tensor:
        """Advance from state t to state t+1, which is returned."""
        state = self._states[t]
        self._update_reset[t].baddbmm_(self._first[t], self._to_update_reset).sigmoid_()
        torch.mul(self._reset[t], state, out=self._reset_states[t])
        candidate = self._candidate[t]
        if self._on_cpu:
            # tanh(a) = 2 s(2a) - 1: the vectorised tanh takes four times as long as the sigmoid.
            candidate.baddbmm_(self._second[t], self._to_candidate, beta=2, alpha=2)
            candidate.sigmoid_().mul_(2).sub_(1)
        else:
            candidate.baddbmm_(self._second[t], self._to_candidate).tanh_()
        after = torch.lerp(candidate, state, self._update[t], out=self._states[t + 1])
        if t < len(self._unclipped):
            torch.le(after.abs(), self._clip, out=self._unclipped[t])
            after.clamp_(-self._clip, self._clip)
        return after


class CellBackward:
    """Walks a tape from its end and leaves in `gates` the gradient before every nonlinearity."""

    def __init__(self, tape: CellTape, recurrent: Tensor, input_weight: Tensor | None) -> None:
        size = tape.size
        n_cells, n_steps, n_trials, _ = tape.candidate.shape
        self._tape = tape
        self.gates = tape.candidate.new_empty(n_cells, n_steps, n_trials, 3 * size)
        self._block = max(1, _BLOCK_ELEMENTS // max(1, n_cells * n_trials * size))
        self._from_update_reset = recurrent[..., : 2 * size].transpose(1, 2)
        self._from_candidate = recurrent[..., 2 * size :].transpose(1, 2)
        self._from_inputs = recurrent[:, :0].mT if input_weight is None else input_weight.mT
        self._all = self.gates.unbind(1)
        self._both = self.gates[..., : 2 * size].unbind(1)
        by_gate = self.gates.split(size, -1)
        self._update_gates, self._reset_gates, self._candidate_gates = (
            g.unbind(1) for g in by_gate
        )
        self._update = tape.update_reset[..., :size].unbind(1)
        self._reset = tape.update_reset[..., size:].unbind(1)
        self._unclipped = tape.unclipped.unbind(1)
        self._reset_state_gradient = tape.candidate.new_empty(n_cells, n_trials, size)

    def step(self, t: int, state_gradient: Tensor) -> None:
        """Turn the gradient of state t+1 into that of state t, in place; the last step first."""
        if t + 1 == len(self._all) or (t + 1) % self._block == 0:
            self._fill_slopes(t - t % self._block, t + 1)
        if t < len(self._unclipped):
            state_gradient.mul_(self._unclipped[t])
        candidate = self._candidate_gates[t].mul_(state_gradient)
        self._update_gates[t].mul_(state_gradient)
        reset_state = torch.bmm(candidate, self._from_candidate, out=self._reset_state_gradient)
        self._reset_gates[t].mul_(reset_state)
        state_gradient.mul_(self._update[t]).addcmul_(reset_state, self._reset[t])
        state_gradient.baddbmm_(self._both[t], self._from_update_reset)

    def inputs(self, t: int) -> Tensor:
        """The gradient of the inputs of step t, which has been stepped over: [G, B, K]."""
        return torch.bmm(self._all[t], self._from_inputs)

    def _fill_slopes(self, first: int, last: int) -> None:
        """What each gate's gradient is per gradient of the new state or of the reset state.

        Done for a block of steps at once: few calls, and the block stays in the cache.
        """
        tape, size = self._tape, self._tape.size
        update, reset = tape.update_reset[:, first:last].split(size, -1)
        candidate = tape.candidate[:, first:last]
        for_update, for_reset, for_candidate = self.gates[:, first:last].split(size, -1)
        keep = 1 - update
        torch.addcmul(keep, keep * candidate, candidate, value=-1, out=for_candidate)
        torch.mul(tape.states[:, first:last] - candidate, keep.mul_(update), out=for_update)
        reset_state = tape.reset_states[:, first:last]
        torch.addcmul(reset_state, reset_state, reset, value=-1, out=for_reset)

    def recurrent_weight(self) -> Tensor:
        """The gradient of the recurrent weights, one product over all steps: [G, H, 3H]."""
        size, n_steps = self._tape.size, len(self._all)
        states = self._tape.states[:, :n_steps].flatten(1, 2)
        reset_states = self._tape.reset_states[:, :n_steps].flatten(1, 2)
        gates = self.gates.flatten(1, 2)
        gradient = gates.new_empty(gates.shape[0], size, 3 * size)
        torch.bmm(states.mT, gates[..., : 2 * size], out=gradient[..., : 2 * size])
        torch.bmm(reset_states.mT, gates[..., 2 * size :], out=gradient[..., 2 * size :])
        return gradient

    def input_weight(self, given: Tensor, cells: slice = slice(None)) -> Tensor:
        """The gradient of the weights from `given` [G, T, B, I] to the gates: [G, I, 3H]."""
        return given.flatten(1, 2).mT @ self.gates[cells].flatten(1, 2)

    def bias(self) -> Tensor:
        """The gradient of the bias: [G, 3H]."""
        return self.gates.flatten(1, 2).sum(1)

    def given(self, weight: Tensor, cells: slice = slice(None)) -> Tensor:
        """The gradient of what `weight` [G, I, 3H] projected: [G, T, B, I]."""
        gates = self.gates[cells]
        return (gates.flatten(1, 2) @ weight.mT).view(*gates.shape[:3], weight.shape[1])
