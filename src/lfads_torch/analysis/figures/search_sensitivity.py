"""To which hyperparameters the score answered in the last generations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import MODEL_COLOUR, QUIET_COLOUR, new_figure
from lfads_torch.analysis.figures.search_look import history_of, label_of, why_not_drawn
from lfads_torch.analysis.search_history import SearchHistory
from lfads_torch.analysis.search_sensitivity import (
    LAST_GENERATIONS,
    Association,
    Moves,
    moves,
    moves_association,
    values_association,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["SearchSensitivity"]

Pair = tuple[Association | None, Association | None]  # of the moves, of the values

SEED = 0  # of the shuffles; the same run gives the same figure
N_COLUMNS = 4
STANDS_OUT_COLOUR = "#D55E00"


class SearchSensitivity(FigureRecipe):
    """Two rank correlations per hyperparameter with their chance bands, and the moves behind."""

    name = "search_sensitivity"
    title = "Search: which hyperparameters the score answers to at the end"
    caption = (
        "Top left: in the last 10 generations, did members whose copied value was multiplied by a "
        "larger random factor score better one generation later (than their parent's unchanged "
        "continuation where there is one, else than their parent)? Top right: do members with "
        "larger values score better in the last generation? Both are rank correlations; the grey "
        "bands hold 95 % of what shuffling gives, and what stands out of its band is orange. "
        "Below: the moves themselves, one point each, lower is better."
    )
    caveat = (
        "The factors were drawn at random, so the left side is a fair experiment, but of one "
        "generation only: a lower learning rate or a weaker penalty often pays at once and costs "
        "later, an effect that turns over an optimum shows as none, and all "
        "hyperparameters moved at the same time. The right side is no experiment: members of one "
        "line share weights and all values, and its band counts them as independent. With "
        "several hyperparameters, one in twenty stands out by chance."
    )
    is_of_a_search = True

    def needs(self, inputs: FigureInputs) -> str | None:
        reason = why_not_drawn(inputs)
        if reason is not None:
            return reason
        history = history_of(inputs)
        if not history.names:
            return "No hyperparameter was searched: history.csv has no column of a setting."
        if not any(found for pair in _associations(history) for found in pair):
            return (
                "Fewer than 6 perturbations, and fewer than 6 members with different values and a "
                "finite score in the last generation: nothing can be compared."
            )
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        history = history_of(inputs)
        found = _associations(history)
        has_moves = any(pair[0] for pair in found)
        n_below = -(-len(found) // N_COLUMNS) if has_moves else 0
        heights_in = [0.9 + 0.24 * len(found), *([1.6 * n_below] if n_below else [])]
        figure = new_figure(sum(heights_in))
        parts = figure.subfigures(len(heights_in), 1, height_ratios=heights_in, squeeze=False)
        _draw_associations(parts[0, 0], history, found)
        if n_below:
            _draw_all_moves(parts[1, 0], history, found, n_rows=n_below)
        return figure


def _associations(history: SearchHistory) -> list[Pair]:
    rng = np.random.default_rng(SEED)
    return [
        (moves_association(moves(history, name), rng), values_association(history, name, rng))
        for name in history.names
    ]


def _draw_associations(part: SubFigure, history: SearchHistory, found: Sequence[Pair]) -> None:
    n_last = min(LAST_GENERATIONS, len(history.generations) - 1)
    titles = (f"Moves, last {n_last} generations", f"Values, generation {history.generations[-1]}")
    sides = part.subplots(1, 2, sharey=True)
    for side, panel in enumerate(sides):
        _draw_side(panel, [pair[side] for pair in found], title=titles[side])
    sides[0].set_yticks(range(len(found)), [label_of(name) for name in history.names])


def _draw_all_moves(
    part: SubFigure, history: SearchHistory, found: Sequence[Pair], *, n_rows: int
) -> None:
    panels = part.subplots(n_rows, N_COLUMNS, sharey=True, squeeze=False)
    for place, panel in enumerate(panels.flat):
        if place >= len(found):
            panel.remove()
            continue
        name = history.names[place]
        _draw_moves(panel, moves(history, name), label_of(name), found[place][0])
    for panel in panels[:, 0]:
        panel.set_ylabel("change of score")


def _draw_side(panel: Axes, found: Sequence[Association | None], *, title: str) -> None:
    """A row per hyperparameter. Right means that larger is better, so the sign is turned."""
    for row, each in enumerate(found):
        if each is None:
            panel.text(0.05, row, "too few to compare", va="center", color=QUIET_COLOUR, fontsize=8)
            continue
        panel.barh(row, each.high - each.low, left=-each.high, height=0.62, color="#DDE0E4")
        colour = STANDS_OUT_COLOUR if each.stands_out else MODEL_COLOUR
        panel.plot([-each.correlation], [row], "o", color=colour, markersize=6)
        panel.text(1.06, row, f"n = {each.n}", va="center", ha="left", fontsize=7.5,
                   color="#555555")  # fmt: skip
    panel.axvline(0, color="#555555", linewidth=0.7)
    panel.set(xlim=(-1.05, 1.05), ylim=(len(found) - 0.4, -0.6), title=title)
    panel.set_xticks([-1, -0.5, 0, 0.5, 1])
    panel.set_xlabel("smaller is better  ◂   rank correlation   ▸  larger is better")
    panel.tick_params(axis="y", length=0)


def _draw_moves(panel: Axes, moved: Moves, label: str, found: Association | None) -> None:
    is_orange = found is not None and found.stands_out
    panel.axhline(0, color="#999999", linewidth=0.7)
    panel.axvline(1, color="#999999", linewidth=0.7)
    panel.plot(np.exp(moved.log_factor), moved.change, ".", markersize=5, markeredgewidth=0,
               color=STANDS_OUT_COLOUR if is_orange else MODEL_COLOUR, alpha=0.7)  # fmt: skip
    panel.set_title(label)
    panel.set_xlabel("factor")
    _factor_axis(panel, moved)


def _factor_axis(panel: Axes, moved: Moves) -> None:
    """Logarithmic, as far to either side of 1."""
    widest = float(np.abs(moved.log_factor).max(initial=0.2)) * 1.08
    panel.set_xscale("log")
    panel.set_xlim(np.exp(-widest), np.exp(widest))
    ticks = [0.8, 0.9, 1.0, 1.1, 1.25] if widest < 0.45 else [0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0]
    ticks = [each for each in ticks if abs(np.log(each)) <= widest]
    panel.set_xticks(ticks, [f"{each:g}" for each in ticks])
    panel.set_xticks([], minor=True)
