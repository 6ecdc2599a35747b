"""Which hyperparameters the score answers to, as far as the search itself can tell.

Two questions, both answered by a rank correlation with what chance alone would give. *Moves*: a
copied hyperparameter is multiplied by a factor drawn at random, so whether larger factors score
better is a small randomised experiment, whatever the line. *Values*: whether members with larger
values score better at the end; members of one line share far more than that value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.search_history import SearchHistory

__all__ = ["Association", "Moves", "associate", "moves", "moves_association", "values_association"]

LEVEL = 0.95
N_PERMUTATIONS = 2000
LAST_GENERATIONS = 10
FEWEST = 6  # below this the band of chance is nearly the whole range


@dataclass(frozen=True, kw_only=True)
class Association:
    """A rank correlation and the band in which chance alone would leave it."""

    correlation: float
    low: float
    high: float
    n: int

    @property
    def stands_out(self) -> bool:
        return not self.low <= self.correlation <= self.high


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Every perturbation of one hyperparameter: what it did to the score a generation later."""

    log_factor: NDArray[np.float64]  # [moves] natural logarithm of new over old value
    change: NDArray[np.float64]  # [moves] nats per entry, lower is better
    group: NDArray[np.int64]  # [moves] those of a group can be compared


def moves(history: SearchHistory, name: str, *, n_last: int = LAST_GENERATIONS) -> Moves:
    """Perturbations of `name` in the last generations, at positive values with finite scores.

    The change is against the parent's own continuation, if that was trained with unchanged
    values from the same state; else against the parent's score, within the generation.
    """
    values, score = history.values[name], history.score
    found: list[tuple[float, float, int]] = []
    for row in range(max(1, len(history.generations) - n_last), len(history.generations)):
        for column in np.flatnonzero(history.parent[row] >= 0):
            origin = int(history.parent[row, column])
            old, new = values[row - 1, origin], values[row, column]
            if not (old > 0 and new > 0 and old != new):
                continue
            has_sibling = _is_unchanged(history, row, origin)
            reference = score[row, origin] if has_sibling else score[row - 1, origin]
            # One group for all comparisons with a sibling; the others depend on the generation.
            found.append((np.log(new / old), score[row, column] - reference,
                          0 if has_sibling else row))  # fmt: skip
    table = np.array(found, dtype=np.float64).reshape(-1, 3)
    table = table[np.isfinite(table).all(axis=1)]
    return Moves(log_factor=table[:, 0], change=table[:, 1], group=table[:, 2].astype(np.int64))


def moves_association(moved: Moves, rng: np.random.Generator) -> Association | None:
    """Between factor and change; positive: larger values score worse. `None`: too few."""
    return associate(moved.log_factor, moved.change, moved.group, rng)


def values_association(
    history: SearchHistory, name: str, rng: np.random.Generator
) -> Association | None:
    """Between value and score over the members of the last generation. `None`: too few."""
    value, score = history.values[name][-1], history.score[-1]
    known = np.isfinite(value) & np.isfinite(score)
    return associate(value[known], score[known], np.zeros(int(known.sum()), dtype=np.int64), rng)


def associate(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    group: NDArray[np.int64],
    rng: np.random.Generator,
) -> Association | None:
    """Rank correlation within groups, pooled; the band from shuffling one side within groups.

    `None` with fewer than 6 in groups of at least 2, or where one side does not vary.
    """
    ranks = [_centred_ranks(first[group == g], second[group == g]) for g in np.unique(group)]
    kept = [pair for pair in ranks if pair.shape[1] > 1]
    n = sum(pair.shape[1] for pair in kept)
    squares = [sum(float((pair[side] ** 2).sum()) for pair in kept) for side in (0, 1)]
    scale = float(np.sqrt(squares[0] * squares[1]))
    if n < FEWEST or scale == 0:
        return None
    products = np.zeros(N_PERMUTATIONS)
    for pair in kept:
        repeated = np.broadcast_to(pair[1], (N_PERMUTATIONS, pair.shape[1]))
        products += rng.permuted(repeated, axis=1) @ pair[0]
    low, high = np.quantile(products / scale, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Association(
        correlation=sum(float(pair[0] @ pair[1]) for pair in kept) / scale,
        low=float(low),
        high=float(high),
        n=n,
    )


def _centred_ranks(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of both [2, n], ties at their mean, shifted to mean 0."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(np.stack([first, second]), axis=1)
    centred: NDArray[np.float64] = ranks - ranks.mean(axis=1, keepdims=True)
    return centred


def _is_unchanged(history: SearchHistory, row: int, column: int) -> bool:
    """Whether the slot went on from its own state with the values it had."""
    if history.parent[row, column] != column:
        return False
    return all(
        values[row, column] == values[row - 1, column]
        for values in history.values.values()
        if np.isfinite(values[row, column])
    )
