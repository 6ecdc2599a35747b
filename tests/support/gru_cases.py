"""Random cases of the encoder recurrence, for every backend that is held against the reference."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lfads_torch.kernels.gru.reference import GRUWeights

__all__ = ["REVERSE", "SHAPES", "Case", "random_case", "values_and_gradients"]

# members, bins, trials, inputs, hidden units; the last works through blocks of 2, 2 and 1 bins
SHAPES = [
    (1, 1, 1, 1, 1),
    (1, 7, 33, 3, 5),
    (3, 5, 1, 7, 4),
    (2, 33, 3, 1, 17),
    (4, 3, 5, 6, 33),
    (2, 5, 401, 2, 3),
]
REVERSE = [(False,), (True,), (False, True), (True, True, False)]


@dataclass(frozen=True)
class Case:
    x: Tensor
    initial_state: Tensor
    input: Tensor
    recurrent: Tensor
    bias: Tensor
    reverse: tuple[bool, ...]
    clip: float

    def tensors(self) -> list[Tensor]:
        return [getattr(self, f.name) for f in fields(self)[:5]]

    def with_tensors(self, tensors: list[Tensor]) -> Case:
        names = [f.name for f in fields(self)[:5]]
        return replace(self, **dict(zip(names, tensors, strict=True)))

    def run(self, scan) -> Tensor:
        weights = GRUWeights(self.input, self.recurrent, self.bias)
        return scan(self.x, self.initial_state, weights, reverse=self.reverse, clip=self.clip)


def random_case(
    shape: tuple[int, int, int, int, int],
    *,
    reverse: tuple[bool, ...] = (False, True),
    clip: float = 5.0,
) -> Case:
    """Initial states several times the clip, so that the clip acts at the first step."""
    n_members, n_bins, n_trials, n_inputs, size = shape
    n_directions = len(reverse)
    random = torch.Generator().manual_seed(3)

    def draw(*sizes: int, scale: float = 1.0) -> Tensor:
        return torch.randn(sizes, generator=random, dtype=torch.float64) * scale

    return Case(
        draw(n_members, n_bins, n_trials, n_inputs),
        draw(n_members, n_directions, size, scale=2 * clip),
        draw(n_members, n_directions, n_inputs, 3 * size, scale=(n_inputs + size) ** -0.5),
        draw(n_members, n_directions, size, 3 * size, scale=(n_inputs + size) ** -0.5),
        draw(n_members, n_directions, 3 * size),
        reverse,
        clip,
    )


def values_and_gradients(case: Case, scan) -> list[Tensor]:
    leaves = [t.detach().clone().requires_grad_() for t in case.tensors()]
    states = case.with_tensors(leaves).run(scan)
    random = torch.Generator().manual_seed(7)
    weight = torch.randn(states.shape, generator=random, dtype=torch.float64).to(states)
    return [states.detach(), *torch.autograd.grad(states, leaves, weight)]
