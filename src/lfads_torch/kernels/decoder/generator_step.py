"""One bin of the generator in the reference scan: the GRU, or a cell of somebody's own.

Axes: P member, T generated bin, B trial, U inferred input, X external input, G generator; gates
z, r, n along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from lfads_torch.kernels.gru.reference import GRUWeights, gru_cell

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["GeneratorStep", "OwnCell", "generator_step"]


@dataclass(frozen=True)
class OwnCell:
    """A generator cell that is no GRU of ours, with its weights.

    `start` gives the first state from `g0`, both [P, B, G]; `step` the next one from the inputs
    `[u_t, external_t]` [P, B, U+X], the state and the limit of states.
    """

    start: Callable[[Tensor], Tensor]
    step: Callable[[Tensor, Tensor, float], Tensor]


@runtime_checkable
class GeneratorStep(Protocol):
    """A generator with its external inputs."""

    def start(self, state: Float[Tensor, "P B G"]) -> Float[Tensor, "P B G"]:
        """The state before the first bin."""

    def step(
        self, t: int, inputs: Float[Tensor, "P B U"] | None, state: Float[Tensor, "P B G"]
    ) -> Float[Tensor, "P B G"]:
        """The state after bin t; without a controller there are no inferred inputs."""


def generator_step(
    cell: GRUWeights | OwnCell,
    external: Float[Tensor, "P T B X"] | None,
    *,
    n_bins: int,
    n_trials: int,
    clip: float,
) -> GeneratorStep:
    """The cell, ready to go through the bins."""
    if isinstance(cell, OwnCell):
        return _OwnStep(cell, external, clip)
    return _GRUStep(cell, _external_gates(cell, external, n_bins, n_trials), clip)


class _GRUStep:
    def __init__(self, weights: GRUWeights, gates: Float[Tensor, "P T B G3"], clip: float) -> None:
        # unbind, not indexing: the gradient of each x[:, t] would be a zero tensor of x's size.
        self._weights, self._gates, self._clip = weights, gates.unbind(1), clip

    def start(self, state: Tensor) -> Tensor:
        return state

    def step(self, t: int, inputs: Tensor | None, state: Tensor) -> Tensor:
        gates = self._gates[t]
        if inputs is not None:
            gates = torch.baddbmm(gates, inputs, self._weights.input[:, : inputs.shape[-1]])
        return gru_cell(gates, state, self._weights.recurrent, clip=self._clip)


class _OwnStep:
    def __init__(
        self, cell: OwnCell, external: Float[Tensor, "P T B X"] | None, clip: float
    ) -> None:
        self._cell, self._clip = cell, clip
        self._external = None if external is None else external.unbind(1)

    def start(self, state: Tensor) -> Tensor:
        return self._cell.start(state)

    def step(self, t: int, inputs: Tensor | None, state: Tensor) -> Tensor:
        parts = [inputs] if inputs is not None else []
        if self._external is not None:
            parts.append(self._external[t])
        driving = torch.cat(parts, -1) if parts else state[..., :0]
        return self._cell.step(driving, state, self._clip)


def _external_gates(
    weights: GRUWeights, external: Tensor | None, n_bins: int, n_trials: int
) -> Float[Tensor, "P T B G3"]:
    """The external input's share of the gates, and their bias."""
    bias = weights.bias[:, None, None]
    if external is None or external.shape[-1] == 0:
        return bias.expand(-1, n_bins, n_trials, -1)
    n_members, n_given, n_trials, size = external.shape
    flat = external.reshape(n_members, n_given * n_trials, size)
    gates = flat @ weights.input[:, weights.input.shape[1] - size :]
    return (bias + gates.view(n_members, n_given, n_trials, -1)).expand(-1, n_bins, -1, -1)
