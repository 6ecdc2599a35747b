"""One gated cell, stepped by hand forward and backward. Both operations are built from it.

Axes: G cell (members times directions), T step in the order it runs, B trial, H hidden unit,
K input that is only known at its own step (factors, inferred inputs; 0 for encoders).
See README.md in this folder for the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CellBackward", "CellForward", "CellTape", "new_tape", "project", "time_blocks"]

# One pass each, where products and sums of their own would be three.
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_BLOCK_ROWS = 768  # trials times steps; 500 to 1500 are equally fast on a core with 512 KB of L2


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

    def tensors(self) -> tuple[Tensor, ...]:
        """What `CellTape(*tensors)` needs."""
        return (self.operands, self.update_reset, self.candidate, self.unclipped)

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


def time_blocks(n_steps: int, n_trials: int) -> list[slice]:
    """The steps cut into blocks, for input projections and weight gradients.

    Each is a product over one block: long enough to be fast, short enough that its operands
    do not travel to memory and back in between. The cut does not depend on the number of members.
    """
    length = -(-_BLOCK_ROWS // max(1, n_trials))
    return [slice(t, min(t + length, n_steps)) for t in range(0, n_steps, length)]


def project(
    tape: CellTape, given: Tensor, weight: Tensor, bias: Tensor, at: tuple[slice, slice]
) -> None:
    """Start the gates `at` some cells and steps from `given W + b`.

    `given` [G, T, B, I] are the inputs of these cells and steps alone; `weight` [G, I, 3H],
    `bias` [G, 3H]. Without inputs (I = 0) the gates start from the bias.
    """
    boundary = 2 * tape.size
    parts = ((tape.update_reset, slice(0, boundary)), (tape.candidate, slice(boundary, None)))
    for all_gates, columns in parts:
        gates = all_gates[at]
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
        size, operands = tape.size, tape.operands
        if input_weight is None:
            input_weight = recurrent[:, :0]
        self._clip = clip
        self._minus_one = operands.new_tensor(-1.0) if operands.device.type == "cpu" else None
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
        candidate, operand = self._candidate[t], self._second[t]
        if self._minus_one is None:
            candidate.baddbmm_(operand, self._to_candidate).tanh_()
        else:
            # tanh(a) = 2 s(2a) - 1: on CPU the library's tanh takes four times its sigmoid.
            candidate.baddbmm_(operand, self._to_candidate, beta=2, alpha=2).sigmoid_()
            torch.add(self._minus_one, candidate, alpha=2, out=candidate)
        after = torch.lerp(candidate, state, self._update[t], out=self._states[t + 1])
        if t < len(self._unclipped):
            torch.le(after.abs(), self._clip, out=self._unclipped[t])
            after.clamp_(-self._clip, self._clip)
        return after


class CellBackward:
    """Walks a tape from its end, block by block; gathers the gradients of a cell's own weights.

    For every block of `blocks`, last first: `open`, then `step` for its steps, last first, then
    `close`. In between `gates` holds the gradient before every nonlinearity, [G, T, B, 3H].
    """

    def __init__(
        self,
        tape: CellTape,
        recurrent: Tensor,
        input_weight: Tensor | None,
        *,
        blocks: Sequence[slice],
    ) -> None:
        size = tape.size
        n_cells, _, n_trials, _ = tape.candidate.shape
        if input_weight is None:
            input_weight = recurrent[:, :0]
        self._tape, self._n_inputs = tape, input_weight.shape[1]
        # Columns as those of the tape's operands: [state, inputs] and [inputs, reset state].
        to_first = torch.cat([recurrent, input_weight], 1)[..., : 2 * size]
        to_second = torch.cat([input_weight, recurrent], 1)[..., 2 * size :]
        self._from_update_reset = recurrent[..., : 2 * size].mT.contiguous()
        self._from_candidate = recurrent[..., 2 * size :].mT.contiguous()
        self._from_inputs = input_weight.mT
        self._of_first, self._of_second = torch.zeros_like(to_first), torch.zeros_like(to_second)
        self._update = tape.update_reset[..., :size].unbind(1)
        self._reset = tape.update_reset[..., size:].unbind(1)
        self._candidate = tape.candidate.unbind(1)
        self._unclipped = tape.unclipped.unbind(1)
        length = max((b.stop - b.start for b in blocks), default=0)
        self._workspace = recurrent.new_empty(n_cells, length, n_trials, 3 * size)
        self._inputs = recurrent.new_empty(n_cells, n_trials, self._n_inputs)
        self._reset_state = recurrent.new_empty(n_cells, n_trials, size)
        self._not_kept = torch.empty_like(self._reset_state)
        self._slope = torch.empty_like(self._reset_state)
        self.bias = recurrent.new_zeros(n_cells, 3 * size)

    @property
    def recurrent(self) -> Tensor:
        """The gradient of the recurrent weights, once all blocks are closed: [G, H, 3H]."""
        size = self._tape.size
        return torch.cat([self._of_first[:, :size], self._of_second[:, self._n_inputs :]], 2)

    @property
    def input_weight(self) -> Tensor:
        """That of the weights of the inputs: [G, K, 3H]."""
        size = self._tape.size
        return torch.cat([self._of_first[:, size:], self._of_second[:, : self._n_inputs]], 2)

    def open(self, block: slice) -> None:
        """Prepare what a block's gates do not owe to any gradient: few calls, for many steps.

        For the update gate the difference of state and candidate; for the reset gate the slope,
        the gradient before the nonlinearity per gradient of the reset state.
        """
        tape, size = self._tape, self._tape.size
        self._block = block
        self.gates = self._workspace[:, : block.stop - block.start]
        for_update, for_reset, for_candidate = torch.split(self.gates, size, -1)
        reset_states = tape.reset_states[:, block]
        reset = tape.update_reset[:, block, :, size:]
        torch.addcmul(reset_states, reset_states, reset, value=-1, out=for_reset)
        torch.sub(tape.states[:, block], tape.candidate[:, block], out=for_update)
        self._update_reset_gates = self.gates[..., : 2 * size].unbind(1)
        self._all_gates = self.gates.unbind(1)
        self._update_gates, self._reset_gates = for_update.unbind(1), for_reset.unbind(1)
        self._candidate_gates = for_candidate.unbind(1)

    def step(self, t: int, state: Tensor) -> None:
        """Turn the gradient `state` of state t+1 into that of state t, in place."""
        if t < len(self._unclipped):
            state.mul_(self._unclipped[t])
        i, update = t - self._block.start, self._update[t]
        slope = _sigmoid_backward(state, update, grad_input=self._slope)
        self._update_gates[i].mul_(slope)
        not_kept = torch.addcmul(state, state, update, value=-1, out=self._not_kept)
        candidate = self._candidate_gates[i]
        _tanh_backward(not_kept, self._candidate[t], grad_input=candidate)
        reset_state = torch.bmm(candidate, self._from_candidate, out=self._reset_state)
        self._reset_gates[i].mul_(reset_state)
        state.mul_(update).addcmul_(reset_state, self._reset[t])
        state.baddbmm_(self._update_reset_gates[i], self._from_update_reset)

    def inputs(self, t: int) -> Tensor:
        """The gradient of the inputs of step t, valid until the next call: [G, B, K]."""
        gates = self._all_gates[t - self._block.start]
        return torch.bmm(gates, self._from_inputs, out=self._inputs)

    def close(self) -> None:
        """Add what the block gives to the gradients of the weights."""
        size = self._tape.size
        gates = self.gates.flatten(1, 2)
        operands = self._tape.operands[:, self._block].flatten(1, 2)
        self._of_first.baddbmm_(operands[..., :-size].mT, gates[..., : 2 * size])
        self._of_second.baddbmm_(operands[..., size:].mT, gates[..., 2 * size :])
        self.bias.add_(gates.sum(1))
