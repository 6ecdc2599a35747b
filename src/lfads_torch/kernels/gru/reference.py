"""The definition of the encoder recurrence, in plain PyTorch, differentiated by autograd.

Axes: P member, D direction, T time, B trial, I input, H hidden unit;
3H: gates z, r, n in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["GRUWeights", "gru_cell", "gru_scan"]


@dataclass(frozen=True)
class GRUWeights:
    """Gates along the last axis: update z, reset r, candidate n. One cell has no axis D."""

    input: Float[Tensor, "P *D I H3"]
    recurrent: Float[Tensor, "P *D H H3"]
    bias: Float[Tensor, "P *D H3"]


def gru_cell(
    input_gates: Float[Tensor, "P B H3"],
    state: Float[Tensor, "P B H"],
    recurrent: Float[Tensor, "P H H3"],
    *,
    clip: float,
) -> Float[Tensor, "P B H"]:
    """One step of the LFADS unit, given the input's share of the gates (`x W + b`).

    `z = s(x Wz + h Uz + bz)`, `r = s(x Wr + h Ur + br)`, `n = tanh(x Wn + (r*h) Un + bn)`,
    `h' = clip(z*h + (1-z)*n, -c, c)`. The reset gate acts before the recurrent product;
    `torch.nn.GRU` applies it after, so weights cannot be exchanged with it. The gradient of the
    clip is zero where it is active.
    """
    size = state.shape[-1]
    zr = torch.sigmoid(
        torch.baddbmm(input_gates[..., : 2 * size], state, recurrent[..., : 2 * size])
    )
    z, r = zr[..., :size], zr[..., size:]
    n = torch.tanh(
        torch.baddbmm(input_gates[..., 2 * size :], r * state, recurrent[..., 2 * size :])
    )
    return (z * state + (1 - z) * n).clamp(-clip, clip)


def gru_scan(
    x: Float[Tensor, "P T B I"],
    initial_state: Float[Tensor, "P D H"],
    weights: GRUWeights,
    *,
    reverse: tuple[bool, ...],
    clip: float,
) -> Float[Tensor, "P D T B H"]:
    """Run D independent directions over the same input; all backends must agree with this one.

    A direction with `reverse` reads the bins from last to first. States come back in the order of
    time for every direction: entry t is the state after reading bin t. The initial state is
    learned and shared by all trials. T = 0 gives no states.
    """
    n_members, n_bins, n_trials, n_inputs = x.shape
    n_directions, size = initial_state.shape[1:]
    flat = x.reshape(n_members, n_bins * n_trials, n_inputs)
    gates = [
        torch.baddbmm(weights.bias[:, d, None], flat, weights.input[:, d]).view(
            n_members, n_bins, n_trials, 3 * size
        )
        for d in range(n_directions)
    ]
    ordered = [g.flip(1) if backward else g for g, backward in zip(gates, reverse, strict=True)]
    input_gates = torch.cat(ordered, 0)  # [D*P, T, B, 3H]: all directions advance together
    recurrent = weights.recurrent.transpose(0, 1).reshape(n_directions * n_members, size, 3 * size)
    state = initial_state.transpose(0, 1).reshape(-1, 1, size)
    state = state.expand(n_directions * n_members, n_trials, size)
    states = []
    for gate in input_gates.unbind(1):
        state = gru_cell(gate, state, recurrent, clip=clip)
        states.append(state)
    if not states:
        return x.new_zeros(n_members, n_directions, 0, n_trials, size)
    scanned = torch.stack(states, 1).view(n_directions, n_members, n_bins, n_trials, size).unbind(0)
    in_time = [s.flip(1) if backward else s for s, backward in zip(scanned, reverse, strict=True)]
    return torch.stack(in_time, 1)
