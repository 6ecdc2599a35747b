"""Forward selection of the models whose predictions are averaged.

Source: Caruana, Niculescu-Mizil, Crew & Ksikes 2004, "Ensemble selection from libraries of models"
(ICML), without replacement: a model enters at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chosen", "forward_selection", "prediction_nats"]

Prediction = NDArray[np.floating]  # [B, T, N]


@dataclass(frozen=True)
class Chosen:
    """Positions in the order in which they entered, and the loss of the mean after each."""

    positions: tuple[int, ...]
    losses: tuple[float, ...]


def forward_selection(
    predictions: Sequence[Prediction], loss: Callable[[NDArray[np.float64]], float]
) -> Chosen:
    """Begin with the first; add the one whose mean with those chosen has the lowest loss.

    It ends where nothing lowers the loss, so the mean of what was chosen is never worse than the
    first one alone. Equal losses are decided by the order. One whose mean has no finite loss never
    enters. Only one prediction is touched at a time, so they may lie in a file.
    """
    total = np.asarray(predictions[0], dtype=np.float64)
    positions, losses = [0], [loss(total)]
    while len(positions) < len(predictions):
        rest = [n for n in range(len(predictions)) if n not in positions]
        found = [loss((total + predictions[n]) / (len(positions) + 1)) for n in rest]
        best = int(np.argmin([each if np.isfinite(each) else np.inf for each in found]))
        if not found[best] < losses[-1]:
            break
        total = total + predictions[rest[best]]
        positions.append(rest[best])
        losses.append(found[best])
    return Chosen(tuple(positions), tuple(losses))


def prediction_nats(
    counts: NDArray[np.float64],
    *,
    is_counted: NDArray[np.bool_],
    is_spiking: NDArray[np.bool_],
    reference: Prediction,
) -> Callable[[NDArray[np.float64]], float]:
    """The loss of predicted means [B, T, N]: nats per counted entry, without constants.

    A mean alone has no likelihood but that of one number. Units that count spikes have Poisson's,
    as in bits per spike; others a Gaussian's, with the variance that the errors of `reference`
    have in that unit, the same for whatever is compared. `counts` [B, T, N] are NaN where missing;
    `is_counted` [T, N]; `is_spiking` [N]. NaN where nothing is counted.
    """
    is_there = np.isfinite(counts) & is_counted
    target = np.where(is_there, counts, 0.0)
    errors = np.where(is_there, (counts - reference) ** 2, 0.0).sum((0, 1))
    n_of_unit = is_there.sum((0, 1))
    variance = np.maximum(errors / np.maximum(n_of_unit, 1), 1e-12)
    n_counted = int(n_of_unit.sum())

    def loss(mean: NDArray[np.float64]) -> float:
        if not n_counted:
            return float("nan")
        rate = np.maximum(mean[..., is_spiking], 1e-9)
        spiking = rate - target[..., is_spiking] * np.log(rate)
        other = 0.5 * (target[..., ~is_spiking] - mean[..., ~is_spiking]) ** 2
        other = other / variance[~is_spiking]
        nats = (spiking * is_there[..., is_spiking]).sum() + (
            other * is_there[..., ~is_spiking]
        ).sum()
        return float(nats / n_counted)

    return loss
