"""A generator of one's own: a rate network whose recurrence has low rank.

Low-rank recurrent networks (Mastrogiuseppe & Ostojic 2018, Neuron 99:609) have dynamics in a few
dimensions, which can be read off their connectivity. The whole plug-in is this file:

    lfads fit recording.h5 --plugin-path examples \\
        --set model.generator=low_rank_generator:LowRankGenerator --set low_rank.rank=2

`lfads search` takes the same options, and `--search low_rank.time_constant_bins=2..20` tunes the
time constant with all else. `python examples/low_rank_generator.py` tries it out in
Python. Nothing else is needed: weights declared here are trained, clipped, gathered, stored and
frozen with all others, for every member of a population.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lfads_torch.declare import PluginSettings, member_setting, setting
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class LowRankSettings(PluginSettings):
    """Own settings: a section `low_rank`, checked and stored like every other."""

    section: ClassVar[str] = "low_rank"

    rank: int = setting(3, "rank of the recurrent matrix", at_least=1)
    # Shapes do not depend on it, so every member can have its own, and a search can move it.
    time_constant_bins: float = member_setting(5.0, "of every unit", unit="bins", at_least=1.0)


class LowRankGenerator(GeneratorCell):
    """`h' = h + (-h + L R^T tanh(h) + W x + b) / tau`, kept within the limit of states."""

    settings_type = LowRankSettings

    def __init__(self, own: LowRankSettings) -> None:
        self._own = own

    @classmethod
    def from_settings(cls, settings: ModelSettings) -> LowRankGenerator:
        return cls(settings.own.of(LowRankSettings))

    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        """Shapes without the member axis; with a fan-in a weight starts as N(0, 1/fan_in)."""
        rank = self._own.rank
        return [
            WeightSpec("left", (rank, size), fan_in=rank),
            WeightSpec("right", (size, rank), fan_in=size),
            WeightSpec("input", (n_inputs, size), fan_in=n_inputs),
            WeightSpec("bias", (size,)),
        ]

    def recurrent_weights(self) -> tuple[str, ...]:
        return ("left", "right")  # what loss.l2_generator_scale weighs

    def step(
        self, inputs: Tensor, state: Tensor, weights: Mapping[str, Tensor], *, clip: float
    ) -> Tensor:
        """One bin of all members at once: inputs [P, B, I], state [P, B, G]."""
        recurrent = torch.tanh(state) @ weights["right"] @ weights["left"]
        driven = torch.baddbmm(weights["bias"][:, None], inputs, weights["input"])
        time_constant = weights["low_rank.time_constant_bins"][:, None, None]  # [P, 1, 1]
        moved = state + (recurrent + driven - state) / time_constant
        return moved.clamp(-clip, clip)


def main() -> None:
    """Fit it to a small recording with known rates."""
    from lfads_torch import LFADS
    from lfads_torch.data.synthetic.choose import synthesise

    recording = synthesise("demo", seed=0, n_conditions=6, n_units=20, n_steps=400)
    settings = {
        "model.generator": "low_rank_generator:LowRankGenerator",
        "low_rank.rank": 3,
        "training.epochs": 20,
    }
    model = LFADS(preset="demo", settings=settings, threads=1).fit(recording)
    print("rates [trial, bin, unit]:", model.transform(recording).shape)
    print("low_rank.rank:", model.settings_["low_rank.rank"])


if __name__ == "__main__":
    main()
