"""Principal components shared by sessions, and the ridge regression of each session onto them.

Axes: `C` condition, `E` bin, `N` unit of one session, `R` component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError

__all__ = ["PENALTIES", "Components", "Regression", "global_components", "ridge_onto"]

# Of the ridge, in units of the mean variance of a unit's averages times their number.
PENALTIES = tuple(float(value) for value in np.logspace(-5, 2, 15))
_N_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Components:
    """Averages of all sessions on their shared principal components."""

    values: NDArray[np.float64]  # [C, E, R]; one scale for all, so that the first has variance 1
    share: NDArray[np.float64]  # [R], of the variance of all sessions' averages


@dataclass(frozen=True, kw_only=True)
class Regression:
    """`values = averages @ weight`, the penalty chosen by cross-validation."""

    weight: NDArray[np.float64]  # [N, R]
    penalty: float  # one of PENALTIES
    predicted: NDArray[np.float64]  # [C, E, R], each fold by the weights of the others


def global_components(averages: Sequence[NDArray[np.float64]], n_components: int) -> Components:
    """Principal components of the centred averages [C, E, N] of all sessions, units side by side.

    The largest loading of each is positive. Raises DataError where there are fewer.
    """
    joint = np.concatenate(list(averages), axis=2)
    flat = joint.reshape(-1, joint.shape[2])
    left, size, loadings = np.linalg.svd(flat, full_matrices=False)
    n_there = int((size > size[0] * 1e-10).sum()) if size[0] > 0 else 0
    if n_components > n_there:
        raise DataError(
            f"sessions.readin_size is {n_components}, but the averages of all sessions have "
            f"{n_there} components ({flat.shape[1]} units, {flat.shape[0]} bins of averages). "
            f"Lower it to {max(n_there, 1)} at most, or set sessions.initialisation to random."
        )
    left, size, loadings = left[:, :n_components], size[:n_components], loadings[:n_components]
    largest = np.abs(loadings).argmax(axis=1)
    sign = np.where(loadings[np.arange(n_components), largest] < 0, -1.0, 1.0)
    values = left * size * sign / (size[0] / np.sqrt(len(flat)))
    return Components(
        values=values.reshape(*joint.shape[:2], n_components),
        share=size**2 / float((flat**2).sum()),
    )


def ridge_onto(averages: NDArray[np.float64], components: NDArray[np.float64]) -> Regression:
    """Ridge from centred averages [C, E, N] onto components [C, E, R].

    Folds are of conditions, or of blocks of bins where there is one condition. The penalty is the
    one with the smallest squared error over all held-out folds.
    """
    folds = _folds(averages.shape[0], averages.shape[1])
    errors = np.zeros(len(PENALTIES))
    predicted = np.zeros((len(PENALTIES), *components.shape))
    for held in folds:
        weights = _weights(averages[~held], components[~held])
        for k, weight in enumerate(weights):
            predicted[k][held] = averages[held] @ weight
            errors[k] += ((predicted[k][held] - components[held]) ** 2).sum()
    best = int(errors.argmin())
    flat = averages.reshape(-1, averages.shape[2]), components.reshape(-1, components.shape[2])
    return Regression(
        weight=_weights(*flat, PENALTIES[best : best + 1])[0],
        penalty=PENALTIES[best],
        predicted=predicted[best],
    )


def _folds(n_conditions: int, n_bins: int) -> list[NDArray[np.bool_]]:
    """Masks [C, E] of what is held out, each entry in one of them."""
    place = np.empty((n_conditions, n_bins), dtype=np.int64)
    if n_conditions > 1:
        place[:] = (np.arange(n_conditions) % _N_FOLDS)[:, None]
    else:
        place[:] = np.arange(n_bins) * _N_FOLDS // n_bins
    return [place == fold for fold in np.unique(place)]


def _weights(
    x: NDArray[np.float64], y: NDArray[np.float64], penalties: Sequence[float] = PENALTIES
) -> list[NDArray[np.float64]]:
    """Ridge weights [N, R] of every penalty, from one decomposition of x [., N]."""
    left, size, right = np.linalg.svd(x, full_matrices=False)
    target = left.T @ y
    scale = float((size**2).sum()) / x.shape[1]
    floor = np.finfo(np.float64).tiny
    return [
        right.T @ ((size / np.maximum(size**2 + penalty * scale, floor))[:, None] * target)
        for penalty in penalties
    ]
