"""The encoder of LFADS, a bidirectional GRU, by the contract.

The model runs its fast versions (`kernels`); this is for tests, and to build on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.gru.reference import gru_cell
from lfads_torch.model.encoders.base import Encoder, EncoderStates
from lfads_torch.model.gates import gate_biases
from lfads_torch.model.layout import WeightSpec

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.model.settings import ModelSettings

__all__ = ["GRUEncoder"]

_CLIP, _UPDATE_GATE_BIAS = 5.0, 1.0  # the defaults of model.cell_clip and update_gate_bias


class GRUEncoder(Encoder):
    """Forward and backward states; the summary is the last state of both."""

    def __init__(self, clip: float = _CLIP, *, update_gate_bias: float = _UPDATE_GATE_BIAS) -> None:
        self._clip, self._update_gate_bias = clip, update_gate_bias

    @classmethod
    def from_settings(cls, settings: ModelSettings, size: int) -> GRUEncoder:
        return cls(settings.cell_clip, update_gate_bias=settings.update_gate_bias)

    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        both = n_inputs + size
        bias = gate_biases(size, self._update_gate_bias)
        return [
            WeightSpec("input", (2, n_inputs, 3 * size), fan_in=both),
            WeightSpec("recurrent", (2, size, 3 * size), fan_in=both),
            WeightSpec("bias", (2, 3 * size), constant=bias),
            WeightSpec("initial_state", (2, size)),
        ]

    def recurrent_weights(self) -> tuple[str, ...]:
        return ("recurrent",)

    def encode(
        self,
        x: Float[Tensor, "P E B I"],
        weights: Mapping[str, Tensor],
        *,
        is_inside: Bool[Tensor, "P E B"] | None,
    ) -> EncoderStates:
        past, last = self._read(x, weights, 0, is_inside)
        future, first = self._read(x, weights, 1, is_inside)
        return EncoderStates(torch.cat([last, first], -1), past, future)

    def _read(
        self,
        x: Tensor,
        weights: Mapping[str, Tensor],
        direction: int,
        is_inside: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """States in the order of time, and the one that was reached last."""
        own = {name: value[:, direction] for name, value in weights.items()}
        state = own["initial_state"][:, None].expand(-1, x.shape[2], -1)
        states = []
        bins = range(x.shape[1])
        for t in reversed(bins) if direction else bins:
            gates = torch.baddbmm(own["bias"][:, None], x[:, t], own["input"])
            new = gru_cell(gates, state, own["recurrent"], clip=self._clip)
            # Beyond a trial's end the state stays: the backward pass begins at the end itself.
            state = new if is_inside is None else torch.where(is_inside[:, t, :, None], new, state)
            states.append(state)
        in_time = states[::-1] if direction else states
        return torch.stack(in_time, 1), state
