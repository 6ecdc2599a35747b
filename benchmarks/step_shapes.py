"""Sizes and batch of the steps that `kernel_steps.py` compares. Imports neither package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["SHAPES", "OperatorCalls", "Shape", "counts"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model and its batch."""

    trials: int
    encoded_bins: int
    bins: int
    encoded_units: int
    units: int
    encoder: int
    controller_encoder: int
    controller: int
    generator: int
    factors: int
    initial_condition: int
    inferred: int = 4
    spikes_per_entry: float = 0.05

    def gflop(self) -> float:
        """Of a step's products: forward, and all gradients but that of the encoder's input."""
        encoder = sum(
            2 * (self.encoded_units + size) * 3 * size
            for size in (self.encoder, self.controller_encoder)
        )
        input_share = sum(
            2 * self.encoded_units * 3 * size for size in (self.encoder, self.controller_encoder)
        )
        seen = 2 * self.controller_encoder + self.factors + self.controller
        controller = seen * 3 * self.controller + 2 * self.controller * self.inferred
        generator = (self.inferred + self.generator) * 3 * self.generator
        read = self.generator * self.factors + self.factors * self.units
        per_trial = self.encoded_bins * (3 * encoder - input_share)
        per_trial += 3 * self.bins * (controller + generator + read)
        return 2e-9 * self.trials * per_trial


# `maze`: the incumbent's model of the recording; `medium`: the preset on whole trials.
SHAPES = {
    "maze": Shape(
        trials=256, encoded_bins=35, bins=45, encoded_units=137, units=182, encoder=64,
        controller_encoder=64, controller=64, generator=200, factors=100, initial_condition=100,
    ),
    "medium": Shape(
        trials=64, encoded_bins=140, bins=140, encoded_units=122, units=162, encoder=100,
        controller_encoder=80, controller=80, generator=100, factors=40, initial_condition=100,
    ),
}  # fmt: skip


def counts(shape: Shape, n_trials: int) -> np.ndarray:
    """Spike counts [B, T, N], the same for every variant."""
    size = (n_trials, shape.bins, shape.units)
    return np.random.default_rng(0).poisson(shape.spikes_per_entry, size).astype(np.float64)


class OperatorCalls(TorchDispatchMode):
    """Counts operator calls below autograd, those of the backward pass among them."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.n += 1
        return function(*args, **(kwargs or {}))
