"""The encoder recurrence with a hand-written backward pass, in PyTorch operations on any device.

Axes as in reference.py; G = D * P, directions outermost, so that all directions and members
advance in the same products. "Scan order" is the order in which a direction reads the bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.gru.cell import (
    CellBackward,
    CellForward,
    CellTape,
    new_tape,
    project,
    time_blocks,
)
from lfads_torch.kernels.gru.reference import GRUWeights

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["gru_ends", "gru_scan", "scan_from"]


def gru_scan(
    x: Float[Tensor, "P T B I"],
    initial_state: Float[Tensor, "P D H"],
    weights: GRUWeights,
    *,
    reverse: tuple[bool, ...],
    clip: float,
) -> Float[Tensor, "P D T B H"]:
    """The same as `reference.gru_scan`, which defines it. Second derivatives are not available."""
    return scan_from(x, initial_state[:, :, None], weights, reverse=reverse, clip=clip)


def gru_ends(
    x: Float[Tensor, "P T B I"],
    initial_state: Float[Tensor, "P D H"],
    weights: GRUWeights,
    *,
    reverse: tuple[bool, ...],
    clip: float,
) -> Float[Tensor, "P D B H"]:
    """The last state of every direction in its own order of reading, and nothing else.

    Its gradient then is not one array of all bins, nearly all of them zero.
    """
    return _scanned(x, initial_state[:, :, None], weights, reverse, clip, only_ends=True)


def scan_from(
    x: Float[Tensor, "P T B I"],
    initial_state: Float[Tensor, "P D S H"],
    weights: GRUWeights,
    *,
    reverse: tuple[bool, ...],
    clip: float,
) -> Float[Tensor, "P D T B H"]:
    """As `gru_scan`, with an initial state for every trial (S = B) or one for all (S = 1)."""
    return _scanned(x, initial_state, weights, reverse, clip, only_ends=False)


def _scanned(
    x: Tensor,
    initial_state: Tensor,
    weights: GRUWeights,
    reverse: tuple[bool, ...],
    clip: float,
    *,
    only_ends: bool,
) -> Tensor:
    if len(reverse) != initial_state.shape[1]:
        raise ValueError(
            f"reverse has {len(reverse)} entries; {initial_state.shape[1]} directions need as many"
        )
    tensors = (x, initial_state, weights.input, weights.recurrent, weights.bias)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        found: Tensor = _Scan.apply(*tensors, reverse, clip, only_ends)  # type: ignore[no-untyped-call]
        return found
    return _read_off(_run(tensors, reverse, clip), reverse, only_ends)


class _Scan(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, reverse, clip, only_ends = arguments
        tape = _run(tensors, reverse, clip)
        x, initial_state, input_weight, recurrent, _ = tensors
        ctx.save_for_backward(x, input_weight, recurrent, *tape.tensors())
        ctx.reverse, ctx.n_initial = reverse, initial_state.shape[2]
        ctx.only_ends = only_ends
        return _read_off(tape, reverse, only_ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arriving: Tensor) -> tuple[Tensor | None, ...]:
        x, input_weight, recurrent, *kept = ctx.saved_tensors
        walk = _WalkBack(x, input_weight, _merged(recurrent), CellTape(*kept), ctx.reverse)
        if ctx.only_ends:
            walk.begin_at(_merged(arriving))
        else:
            walk.receive(arriving)
        initial = _split(walk.run(needs_x=ctx.needs_input_grad[0]), x.shape[0])
        if ctx.n_initial == 1:
            initial = initial.sum(2, keepdim=True)
        cell_gradients = (_split(g, x.shape[0]) for g in (walk.cell.recurrent, walk.cell.bias))
        return (walk.x, initial, walk.input_weight, *cell_gradients, None, None, None)


def _run(tensors: Sequence[Tensor], reverse: tuple[bool, ...], clip: float) -> CellTape:
    """Project and step block by block, keeping everything."""
    x, initial_state, input_weight, recurrent, bias = tensors
    n_bins, n_trials = x.shape[1:3]
    start = _merged(initial_state).expand(-1, n_trials, -1)
    tape = new_tape(start, n_bins, n_inputs=0, clip=clip)
    cell = CellForward(tape, _merged(recurrent), None, clip=clip)
    for block in time_blocks(n_bins, n_trials):
        for d, backward in enumerate(reverse):
            given = _read(x, block, backward)
            at = (_cells(d, x.shape[0]), block)
            project(tape, given, input_weight[:, d], bias[:, d], at)
        for t in range(block.start, block.stop):
            cell.step(t)
    return tape


class _WalkBack:
    """The backward pass; `run` fills the gradients `x`, `input_weight` and those of `cell`."""

    def __init__(
        self,
        x: Tensor,
        input_weight: Tensor,
        recurrent: Tensor,
        tape: CellTape,
        reverse: tuple[bool, ...],
    ) -> None:
        self._given, self._weight, self._reverse = x, input_weight, reverse
        self._state = torch.zeros_like(tape.states[:, 0], memory_format=torch.contiguous_format)
        self._blocks = time_blocks(*x.shape[1:3])
        self.cell = CellBackward(tape, recurrent, None, blocks=self._blocks)
        self.input_weight = torch.zeros_like(input_weight)
        self.x: Tensor | None = None
        self._arriving: list[tuple[Tensor, tuple[Tensor, ...]]] = []  # scan order

    def begin_at(self, ends_gradient: Tensor) -> None:
        """The gradient of the last states alone, [G, B, H]."""
        self._state.copy_(ends_gradient)

    def receive(self, states_gradient: Tensor) -> None:
        """That of all states in the order of time, [P, D, T, B, H]."""
        for d, backward in enumerate(self._reverse):
            of_direction = self._state[_cells(d, self._given.shape[0])]
            gradients = states_gradient[:, d].unbind(1)
            self._arriving.append((of_direction, gradients[::-1] if backward else gradients))

    def run(self, *, needs_x: bool) -> Tensor:
        """Step back over all bins; gives the gradient of the initial state, [G, B, H]."""
        cell, state = self.cell, self._state
        self.x = torch.zeros_like(self._given) if needs_x else None
        for block in reversed(self._blocks):
            cell.open(block)
            for t in range(block.stop - 1, block.start - 1, -1):
                for of_direction, gradients in self._arriving:
                    of_direction.add_(gradients[t])
                cell.step(t, state)
            cell.close()
            self._through_projection(block)
        return state

    def _through_projection(self, block: slice) -> None:
        n_members = self._given.shape[0]
        for d, backward in enumerate(self._reverse):
            gates = self.cell.gates[_cells(d, n_members)]
            given = _read(self._given, block, backward)
            self.input_weight[:, d].baddbmm_(given.flatten(1, 2).mT, gates.flatten(1, 2))
            if self.x is not None:
                flat = torch.bmm(gates.flatten(1, 2), self._weight[:, d].mT)
                given_gradient = flat.view_as(given)
                if backward:
                    self.x[:, _mirrored(block, self.x.shape[1])] += given_gradient.flip(1)
                else:
                    self.x[:, block] += given_gradient


def _cells(direction: int, n_members: int) -> slice:
    return slice(direction * n_members, (direction + 1) * n_members)


def _read(x: Tensor, block: slice, backward: bool) -> Tensor:
    """A block of [P, T, B, I] in the order in which a direction reads it."""
    if not backward:
        return x[:, block]
    return x[:, _mirrored(block, x.shape[1])].flip(1)


def _mirrored(block: slice, n_bins: int) -> slice:
    return slice(n_bins - block.stop, n_bins - block.start)


def _read_off(tape: CellTape, reverse: tuple[bool, ...], only_ends: bool) -> Tensor:
    """What was asked for, out of a tape that is full."""
    if only_ends:
        return _split(tape.states[:, -1], tape.candidate.shape[0] // len(reverse)).contiguous()
    return _in_time(tape, reverse)


def _in_time(tape: CellTape, reverse: tuple[bool, ...]) -> Tensor:
    """The states in the order of time, out of the tape's scan order: [P, D, T, B, H]."""
    n_directions = len(reverse)
    n_members = tape.candidate.shape[0] // n_directions
    scanned = tape.states[:, 1:].unflatten(0, (n_directions, n_members)).unbind(0)
    ordered = [s.flip(1) if backward else s for s, backward in zip(scanned, reverse, strict=True)]
    return torch.stack(ordered, 1)


def _merged(value: Tensor) -> Tensor:
    """[P, D, ...] as [D*P, ...]."""
    return value.transpose(0, 1).flatten(0, 1)


def _split(value: Tensor, n_members: int) -> Tensor:
    """[D*P, ...] as [P, D, ...]."""
    n_directions = value.shape[0] // n_members
    return value.reshape(n_directions, n_members, *value.shape[1:]).transpose(0, 1)
