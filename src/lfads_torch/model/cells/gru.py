"""The generator of LFADS, a GRU, as a cell by the contract.

The model runs its fast versions (`kernels`); this is for tests, and to build on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.gru.reference import gru_cell
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.gates import gate_biases
from lfads_torch.model.layout import WeightSpec

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.settings import ModelSettings

__all__ = ["GRUGenerator"]

_UPDATE_GATE_BIAS = 1.0  # the default of model.update_gate_bias


class GRUGenerator(GeneratorCell):
    """The reset gate acts before the recurrent product, states are clipped (`gru_cell`)."""

    def __init__(self, update_gate_bias: float = _UPDATE_GATE_BIAS) -> None:
        self._update_gate_bias = update_gate_bias

    @classmethod
    def from_settings(cls, settings: ModelSettings) -> GRUGenerator:
        return cls(settings.update_gate_bias)

    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        bias = gate_biases(size, self._update_gate_bias)
        return [
            WeightSpec("input", (n_inputs, 3 * size), fan_in=n_inputs),
            WeightSpec("recurrent", (size, 3 * size), fan_in=size),
            WeightSpec("bias", (3 * size,), constant=bias),
        ]

    def recurrent_weights(self) -> tuple[str, ...]:
        return ("recurrent",)

    def step(
        self,
        inputs: Float[Tensor, "P B I"],
        state: Float[Tensor, "P B G"],
        weights: Mapping[str, Tensor],
        *,
        clip: float,
    ) -> Float[Tensor, "P B G"]:
        gates = torch.baddbmm(weights["bias"][:, None], inputs, weights["input"])
        return gru_cell(gates, state, weights["recurrent"], clip=clip)
