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

from lfads_torch.kernels.gru.cell import CellBackward, CellForward, CellTape, new_tape, project
from lfads_torch.kernels.gru.reference import GRUWeights

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["gru_scan", "scan_from"]


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


def scan_from(
    x: Float[Tensor, "P T B I"],
    initial_state: Float[Tensor, "P D S H"],
    weights: GRUWeights,
    *,
    reverse: tuple[bool, ...],
    clip: float,
) -> Float[Tensor, "P D T B H"]:
    """As `gru_scan`, with an initial state for every trial (S = B) or one for all (S = 1)."""
    if len(reverse) != initial_state.shape[1]:
        raise ValueError(
            f"reverse has {len(reverse)} entries; {initial_state.shape[1]} directions need as many"
        )
    tensors = (x, initial_state, weights.input, weights.recurrent, weights.bias)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        states: Tensor = _Scan.apply(*tensors, reverse, clip)
        return states
    return _in_time(_run(tensors, reverse, clip), reverse)


class _Scan(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, reverse, clip = arguments
        tape = _run(tensors, reverse, clip)
        x, initial_state, input_weight, recurrent, _ = tensors
        kept = (tape.operands, tape.update_reset, tape.candidate, tape.unclipped)
        ctx.save_for_backward(x, input_weight, recurrent, *kept)
        ctx.reverse, ctx.n_initial = reverse, initial_state.shape[2]
        return _in_time(tape, reverse)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, states_gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, input_weight, recurrent, *kept = ctx.saved_tensors
        reverse = ctx.reverse
        cell = CellBackward(CellTape(*kept), _merged(recurrent), None)
        initial = _walk_back(cell, states_gradient, reverse)
        needs_x, _, needs_input, needs_recurrent, needs_bias = ctx.needs_input_grad[:5]
        n_members = x.shape[0]
        return (
            _x_gradient(cell, input_weight, reverse) if needs_x else None,
            _split(initial.sum(1, keepdim=True) if ctx.n_initial == 1 else initial, n_members),
            _input_weight_gradient(cell, x, reverse) if needs_input else None,
            _split(cell.recurrent_weight(), n_members) if needs_recurrent else None,
            _split(cell.bias(), n_members) if needs_bias else None,
            None,
            None,
        )


def _run(tensors: Sequence[Tensor], reverse: tuple[bool, ...], clip: float) -> CellTape:
    x, initial_state, input_weight, recurrent, bias = tensors
    n_members, n_bins, n_trials, _ = x.shape
    start = _merged(initial_state).expand(-1, n_trials, -1)
    tape = new_tape(start, n_bins, n_inputs=0, clip=clip)
    for d, given in enumerate(_in_scan_order(x, reverse)):
        cells = slice(d * n_members, (d + 1) * n_members)
        project(tape, given, input_weight[:, d], bias[:, d], cells)
    cell = CellForward(tape, _merged(recurrent), None, clip=clip)
    for t in range(n_bins):
        cell.step(t)
    return tape


def _walk_back(cell: CellBackward, states_gradient: Tensor, reverse: tuple[bool, ...]) -> Tensor:
    """Step back over all bins; gives the gradient of the initial state, [G, B, H]."""
    n_members, n_directions, n_bins, n_trials, size = states_gradient.shape
    gradient = states_gradient.new_zeros(n_directions * n_members, n_trials, size)
    of_direction = gradient.view(n_directions, n_members, n_trials, size).unbind(0)
    arriving = [g.unbind(1) for g in states_gradient.unbind(1)]
    arriving = [g[::-1] if backward else g for g, backward in zip(arriving, reverse, strict=True)]
    for t in range(n_bins - 1, -1, -1):
        for target, gradients in zip(of_direction, arriving, strict=True):
            target.add_(gradients[t])
        cell.step(t, gradient)
    return gradient


def _x_gradient(cell: CellBackward, input_weight: Tensor, reverse: tuple[bool, ...]) -> Tensor:
    n_members = input_weight.shape[0]
    parts = []
    for d, backward in enumerate(reverse):
        part = cell.given(input_weight[:, d], slice(d * n_members, (d + 1) * n_members))
        parts.append(part.flip(1) if backward else part)
    return sum(parts[1:], parts[0])


def _input_weight_gradient(cell: CellBackward, x: Tensor, reverse: tuple[bool, ...]) -> Tensor:
    n_members = x.shape[0]
    parts = [
        cell.input_weight(given, slice(d * n_members, (d + 1) * n_members))
        for d, given in enumerate(_in_scan_order(x, reverse))
    ]
    return torch.stack(parts, 1)


def _in_scan_order(x: Tensor, reverse: tuple[bool, ...]) -> list[Tensor]:
    """The input as each direction reads it; directions that read alike share one tensor."""
    backward = x.flip(1) if any(reverse) else x
    return [backward if is_reversed else x for is_reversed in reverse]


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
    return value.unflatten(0, (value.shape[0] // n_members, n_members)).transpose(0, 1)
