"""When the search ends: the best score of a generation has stopped falling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["has_converged", "relative_improvement"]


def relative_improvement(best: Sequence[float]) -> float:
    """`(b_{k-n} - min(b_{k-n}, ..., b_k)) / mean |b_{k-n}, ..., b_k|` of these n + 1 scores."""
    scores = np.asarray(best, dtype=np.float64)
    size = np.abs(scores).mean()
    return float((scores[0] - scores.min()) / size) if size > 0.0 else 0.0


def has_converged(best: Sequence[float], *, generations: int, tolerance: float) -> bool:
    """Whether the last `generations` have improved the best score by no more than `tolerance`.

    `best[j]` is the best score of generation j (lower is better). Never with 0 generations, nor
    before there are `generations + 1` scores, nor where one of these is not finite.
    """
    window = best[len(best) - generations - 1 :]
    if generations == 0 or len(best) <= generations or not np.isfinite(window).all():
        return False
    return relative_improvement(window) <= tolerance
