"""One line of history for every member and generation, as in `history.csv` (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.training.state import CHECKED_TERMS

if TYPE_CHECKING:
    from lfads_torch.search.schedule import Schedule
    from lfads_torch.search.space import Space
    from lfads_torch.search.state import SearchState

__all__ = ["GenerationReport", "best_by_generation", "generation_report"]

_TERMS = ("valid_reconstruction", "reconstruction", "kl_initial_condition", "kl_inputs", "l2",
          "loss", "gradient_norm")  # fmt: skip

Row = dict[str, Any]  # int, float, str or None, by column


@dataclass(frozen=True)
class GenerationReport:
    """One finished generation: a row per member, in the order of the population."""

    generation: int
    rows: tuple[Row, ...]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Smoothed scores [P], NaN where a member has none."""
        return np.array([np.nan if r["score"] is None else r["score"] for r in self.rows])

    @property
    def best(self) -> float:
        """The best score; NaN if no member has one."""
        scores = self.scores
        return float(np.nanmin(scores)) if np.isfinite(scores).any() else float("nan")

    def with_outcomes(self, outcomes: Sequence[str]) -> GenerationReport:
        """What happened to each member afterwards."""
        pairs = zip(self.rows, outcomes, strict=True)
        return GenerationReport(
            self.generation, tuple(row | {"outcome": word} for row, word in pairs)
        )


def generation_report(
    state: SearchState, space: Space, schedule: Schedule, *, last_row: Mapping[str, Any]
) -> GenerationReport:
    """The generation that `state` has just finished. `last_row` is its last epoch's metrics."""
    population, generation = state.population, state.generation
    clocks, members = population.clocks, population.members.tolist()
    searched = {each.name: population.hyperparameters.value(each.field) for each in space}
    rows = []
    for p, member in enumerate(members):
        broken, best_epoch = int(clocks.broken[p]), int(clocks.best_epoch[p])
        rows.append(
            {
                "generation": generation,
                "member": member,
                "parent": int(state.parent[p]),
                "founder": int(state.founder[p]),
                "first_epoch": schedule.start(generation),
                "last_epoch": population.epoch - 1,
                "score": _finite(float(clocks.smoothed[p])),
                **{name: _finite(last_row[name][p]) for name in _TERMS},
                "best_score": None if best_epoch < 0 else float(clocks.best_score[p]),
                "best_epoch": None if best_epoch < 0 else best_epoch,
                "is_frozen": int(bool(clocks.is_stopped[p])),
                "broke": "" if broken < 0 else CHECKED_TERMS[broken],
                "outcome": "",
                **{name: float(value[p]) for name, value in searched.items()},
            }
        )
    return GenerationReport(generation, tuple(rows))


def best_by_generation(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The best score of every generation from 0 on, in order; NaN where no member had one."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["generation"] >= 0:
            scores = found.setdefault(row["generation"], [])
            if row["score"] is not None:
                scores.append(row["score"])
    return [min(found[g], default=float("nan")) for g in sorted(found)]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
