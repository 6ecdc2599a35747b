"""How well each session aligns: its averages, projected, against the shared components.

What a fold predicts comes from weights of the other conditions. The components themselves are of
all sessions, the one in question included, so that no session is at 0 by chance; beside each figure
stands the same with the conditions of the session exchanged for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.alignment.averages import SessionAverages
from lfads_torch.analysis.alignment.regression import Components, Regression, ridge_onto

__all__ = ["SessionAlignment", "alignment_as_json", "session_alignment"]

FORMAT, FORMAT_VERSION = "lfads-torch alignment", 1


@dataclass(frozen=True, kw_only=True)
class SessionAlignment:
    """One session against the components; everything held out by condition."""

    session: str
    n_units: int
    penalty: float
    variance_explained: float  # share of the components' variance; may be below 0
    by_component: NDArray[np.float64]  # [R], the same of each
    correlation: NDArray[np.float64]  # [R]; 0 where a projection does not vary
    shuffled: float | None  # `variance_explained` with exchanged conditions; None with one


def session_alignment(
    averages: SessionAverages, components: Components, regression: Regression
) -> SessionAlignment:
    """The figures of one session."""
    values, predicted = components.values, regression.predicted
    n_components = values.shape[2]
    pairs = [(values[..., r].ravel(), predicted[..., r].ravel()) for r in range(n_components)]
    return SessionAlignment(
        session=averages.session,
        n_units=averages.values.shape[2],
        penalty=regression.penalty,
        variance_explained=_explained(values, predicted),
        by_component=np.array([_explained(*pair) for pair in pairs]),
        correlation=np.array([_correlation(*pair) for pair in pairs]),
        shuffled=_shuffled(averages.values, values),
    )


def alignment_as_json(
    sessions: Sequence[SessionAlignment], components: Components, *, kind: str, note: str
) -> dict[str, Any]:  # JSON values
    """The content of `alignment.json`."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "averages": kind,
        "note": note,
        "n_components": int(components.values.shape[2]),
        "variance_share": components.share.tolist(),
        "sessions": [
            {
                "session": each.session,
                "n_units": each.n_units,
                "penalty": each.penalty,
                "variance_explained": each.variance_explained,
                "variance_explained_shuffled": each.shuffled,
                "by_component": each.by_component.tolist(),
                "correlation": each.correlation.tolist(),
            }
            for each in sessions
        ],
    }


def _explained(values: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    return 1.0 - float(((values - predicted) ** 2).sum()) / float((values**2).sum())


def _correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    if one.std() == 0 or two.std() == 0:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])


def _shuffled(averages: NDArray[np.float64], values: NDArray[np.float64]) -> float | None:
    """Every condition of the session is taken for the next one: no condition for itself."""
    if len(averages) < 2:
        return None
    return _explained(values, ridge_onto(np.roll(averages, 1, axis=0), values).predicted)
