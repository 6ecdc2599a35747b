"""How many trials each set gets, and which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.recording import TEST, TRAIN, VALID
from lfads_torch.errors import DataError

__all__ = ["condition_labels", "draw_trials", "every_kth_trial", "set_sizes"]


def set_sizes(n_trials: int, valid_fraction: float, test_fraction: float) -> tuple[int, int]:
    """Trials to validate and to test: the rounded fractions, at least one of each asked for."""
    n_valid = max(1, round(valid_fraction * n_trials))
    n_test = max(1, round(test_fraction * n_trials)) if test_fraction > 0 else 0
    if n_valid + n_test >= n_trials:
        raise DataError(
            f"{counted(n_trials, 'trial')}: {n_valid} for validation (split.valid_fraction "
            f"{valid_fraction:g}) and {n_test} for test (split.test_fraction {test_fraction:g}) "
            "leave none to train on. Lower the fractions, or give more trials."
        )
    return n_valid, n_test


def condition_labels(condition: NDArray[Any] | None, n_trials: int) -> NDArray[np.int64]:
    """Conditions as 0, 1, ...; all 0 where there are none, [B]."""
    if condition is None:
        return np.zeros(n_trials, dtype=np.int64)
    _, labels = np.unique(condition, return_inverse=True)
    return labels.reshape(len(condition)).astype(np.int64)


def draw_trials(
    labels: NDArray[np.int64],
    n_valid: int,
    n_test: int,
    rng: np.random.Generator,
    *,
    keeps_conditions: bool = True,
) -> NDArray[np.str_]:
    """Trials at random, in each condition as many as its share, [B].

    `keeps_conditions` leaves at least one training trial in every condition.
    """
    trial_set = np.full(len(labels), TRAIN, dtype="<U6")
    sizes = np.bincount(labels)
    room = sizes - 1 if keeps_conditions else sizes.copy()
    of_valid = _shares(sizes, n_valid, room, rng)
    of_test = _shares(sizes, n_test, room - of_valid, rng)
    for label in range(len(sizes)):
        trials = rng.permutation(np.flatnonzero(labels == label))
        trial_set[trials[: of_valid[label]]] = VALID
        trial_set[trials[of_valid[label] : of_valid[label] + of_test[label]]] = TEST
    return trial_set


def _shares(
    sizes: NDArray[np.int64], n_wanted: int, room: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Whole numbers near `n_wanted * sizes / sum(sizes)`, none over its room.

    Their sum is `n_wanted` where the room allows. The largest remainders are rounded up, ties at
    random: with many conditions of two trials each, not always the first ones validate.
    """
    quota = n_wanted * sizes / sizes.sum()
    shares: NDArray[np.int64] = np.minimum(np.floor(quota + 1e-9).astype(np.int64), room)
    tie_breaker = rng.random(len(sizes)) * 1e-6
    while (missing := n_wanted - int(shares.sum())) > 0 and (shares < room).any():
        want = np.where(shares < room, quota - shares + tie_breaker, -np.inf)
        order = np.argsort(-want)[: min(missing, int((shares < room).sum()))]
        shares[order] += 1
    return shares


def every_kth_trial(n_trials: int, valid_fraction: float, test_fraction: float) -> NDArray[np.str_]:
    """The last trial of every `1 / fraction` validates; likewise for test among the others, [B].

    Fractions that are no 1/k are spread as evenly as whole trials allow.
    """
    trial_set = np.full(n_trials, TRAIN, dtype="<U6")
    trial_set[_evenly(n_trials, valid_fraction)] = VALID
    others = np.flatnonzero(trial_set == TRAIN)
    trial_set[others[_evenly(len(others), test_fraction / (1.0 - valid_fraction))]] = TEST
    return trial_set


def _evenly(n_trials: int, fraction: float) -> NDArray[np.int64]:
    if fraction == 0:
        return np.array([], dtype=np.int64)
    crossed = np.floor(np.arange(n_trials + 1) * fraction + 1e-9)
    chosen = np.flatnonzero(np.diff(crossed) > 0)
    return chosen if len(chosen) else np.array([n_trials - 1])
