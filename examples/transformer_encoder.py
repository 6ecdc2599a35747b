"""An encoder of one's own: one layer of attention instead of the bidirectional GRU.

    lfads fit recording.h5 --plugin-path examples \\
        --set model.ic_encoder=transformer_encoder:TransformerEncoder \\
        --set model.controller_encoder=transformer_encoder:TransformerEncoder

`lfads search` takes the same options. `python examples/transformer_encoder.py` tries it out in
Python. Both encoders have weights of their own; `transformer.n_heads` holds for both.

Source: Vaswani et al. 2017 (arXiv:1706.03762), one layer, normalised after each part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

from lfads_torch.declare import PluginSettings, setting
from lfads_torch.errors import SettingsError
from lfads_torch.model.encoders.base import Encoder, EncoderStates
from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class TransformerSettings(PluginSettings):
    """Own settings: a section `transformer`, checked and stored like every other."""

    section: ClassVar[str] = "transformer"

    n_heads: int = setting(2, "heads of attention; they divide the encoder's size", at_least=1)


class TransformerEncoder(Encoder):
    """Attention over the past of every bin, and with the same weights over its future.

    The summary is what the last bin sees of the past and the first one of the future: each has
    read the whole trial.
    """

    settings_type = TransformerSettings

    def __init__(self, size: int, n_heads: int) -> None:
        if size % n_heads:
            raise SettingsError(
                f"transformer.n_heads is {n_heads}, which does not divide the encoder's size, "
                f"{size}; change one of them."
            )
        self._size, self._n_heads = size, n_heads

    @classmethod
    def from_settings(cls, settings: ModelSettings, size: int) -> TransformerEncoder:
        return cls(size, settings.own.of(TransformerSettings).n_heads)

    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        """Shapes without the member axis; with a fan-in a weight starts as N(0, 1/fan_in)."""
        square = [
            WeightSpec(name, (size, size), fan_in=size)
            for name in ("query", "key", "value", "output")
        ]
        return [
            WeightSpec("embed", (n_inputs, size), fan_in=n_inputs),
            WeightSpec("bias", (size,)),
            *square,
            WeightSpec("expand", (size, 2 * size), fan_in=size),
            WeightSpec("contract", (2 * size, size), fan_in=2 * size),
        ]

    def recurrent_weights(self) -> tuple[str, ...]:
        return ()  # nothing here is recurrent: L2 weighs none of it

    def encode(
        self, x: Tensor, weights: Mapping[str, Tensor], *, is_inside: Tensor | None
    ) -> EncoderStates:
        """Bins [P, E, B, I] to states [P, E, B, H]."""
        n_bins = x.shape[1]
        # The member axis first, and one matrix per member beside it: [P, 1, I, H].
        embedded = x.transpose(1, 2) @ weights["embed"][:, None] + weights["bias"][:, None, None]
        embedded = embedded + _positions(n_bins, self._size, x)
        earlier = torch.ones(n_bins, n_bins, dtype=torch.bool, device=x.device).tril()
        past = self._layer(embedded, weights, _allowed(earlier, is_inside))
        future = self._layer(embedded, weights, _allowed(earlier.T, is_inside))
        summary = torch.cat([_at_end(past, is_inside), future[:, :, 0]], -1)
        return EncoderStates(summary, past.transpose(1, 2), future.transpose(1, 2))

    def _layer(self, x: Tensor, weights: Mapping[str, Tensor], allowed: Tensor) -> Tensor:
        """One layer over bins [P, B, E, H]; `allowed` [..., E, E] says which bin sees which."""
        query, key, value = (
            (x @ weights[name][:, None]).unflatten(-1, (self._n_heads, -1)).transpose(2, 3)
            for name in ("query", "key", "value")
        )
        heads = scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        attended = heads.transpose(2, 3).flatten(-2) @ weights["output"][:, None]
        x = layer_norm(x + attended, (self._size,))
        changed = gelu(x @ weights["expand"][:, None]) @ weights["contract"][:, None]
        return layer_norm(x + changed, (self._size,))


def _positions(n_bins: int, size: int, like: Tensor) -> Tensor:
    """Sines and cosines of the bin's number, [E, H], where `like` is and of its type."""
    dimension = torch.arange(0, size, 2, device=like.device, dtype=like.dtype)
    rate = torch.exp(-math.log(1e4) * dimension / size)
    angle = torch.arange(n_bins, device=like.device, dtype=like.dtype)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :size]


def _allowed(order: Tensor, is_inside: Tensor | None) -> Tensor:
    """Bins that may be seen, [P, B, 1, E, E] (or [E, E]); a bin always sees itself."""
    if is_inside is None:
        return order
    inside = is_inside.transpose(1, 2)[:, :, None, None]
    return (order & inside) | torch.eye(len(order), dtype=torch.bool, device=order.device)


def _at_end(states: Tensor, is_inside: Tensor | None) -> Tensor:
    """The state of each trial's last bin, [P, B, H]."""
    if is_inside is None:
        return states[:, :, -1]
    last = is_inside.sum(1) - 1
    return states.gather(2, last[..., None, None].expand(-1, -1, 1, states.shape[-1]))[:, :, 0]


def main() -> None:
    """Fit it to a small recording with known rates."""
    from lfads_torch import LFADS
    from lfads_torch.data.synthetic.choose import synthesise

    recording = synthesise("demo", seed=0, n_conditions=6, n_units=20, n_steps=400)
    settings = {
        "model.ic_encoder": "transformer_encoder:TransformerEncoder",
        "transformer.n_heads": 4,
        "training.epochs": 20,
    }
    model = LFADS(preset="demo", settings=settings, threads=1).fit(recording)
    print("rates [trial, bin, unit]:", model.transform(recording).shape)
    print("transformer.n_heads:", model.settings_["transformer.n_heads"])


if __name__ == "__main__":
    main()
