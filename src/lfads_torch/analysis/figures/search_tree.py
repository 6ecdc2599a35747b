"""The family tree of a search: whose state every member started from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import new_figure
from lfads_torch.analysis.figures.search_look import (
    WINNER_COLOUR,
    founder_colours,
    generation_axis,
    history_of,
    why_not_drawn,
)
from lfads_torch.analysis.figures.search_progression import descent_lines
from lfads_torch.analysis.search_history import SearchHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SearchTree", "slot_heights"]

MOST_IN_THE_LEGEND = 7


class SearchTree(FigureRecipe):
    """Slots against generations, an edge from every parent."""

    name = "search_tree"
    title = "Search: the family tree"
    caption = (
        "A row per slot, a column per generation; every edge leads from the parent to the member "
        "that went on from its state. Level edges: the slot kept its own. Lines that reach the "
        "last generation have the colour of the slot in which they began, all others are grey. "
        "The dark line with the star is the descent of the best state. Crosses are members that "
        "were frozen. Slots that halving dropped stand on top, without a number."
    )
    caveat = (
        "That few lines survive does not mean that the others were bad: with tournaments among "
        "equals, chance alone leaves few lines after as many generations as there are members. "
        "How different two lines' models are does not show here."
    )
    is_of_a_search = True

    def needs(self, inputs: FigureInputs) -> str | None:
        return why_not_drawn(inputs)

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        history = history_of(inputs)
        height = slot_heights(history)
        n_slots = int(history.is_there[-1].sum())
        figure = new_figure(float(np.clip(1.1 + 0.2 * n_slots + 0.05 * len(height), 2.6, 9.0)))
        panel = figure.subplots()
        _draw_edges(panel, history, height)
        _draw_winner(panel, history, height)
        _draw_frozen(panel, history, height)
        generation_axis(panel, history)
        _slot_axis(panel, history, height)
        handles, labels = panel.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=5)
        return figure


def slot_heights(history: SearchHistory) -> NDArray[np.float64]:
    """Height [M] of each slot: those of the last generation by id from the top, one apart.

    Those dropped by halving stand above them, closer to one another the more there are.
    """
    is_kept = history.is_there[-1]
    n_kept, n_dropped = int(is_kept.sum()), int((~is_kept).sum())
    height = np.empty(len(is_kept))
    height[is_kept] = -np.arange(n_kept)
    apart = min(1.0, 0.5 * n_kept / n_dropped) if n_dropped else 1.0
    height[~is_kept] = 1 + apart * np.arange(n_dropped)
    return height


def _draw_edges(panel: Axes, history: SearchHistory, height: NDArray[np.float64]) -> None:
    from matplotlib.collections import LineCollection

    where = np.broadcast_to(height, history.is_there.shape)
    leads, alive = history.leads_to_the_end(), history.founders_alive
    colours = founder_colours(alive)
    groups: list[tuple[NDArray[np.bool_], Any, float]] = [(~leads, "#D3D7DC", 0.6)]
    groups += [(leads & (history.founder == each), colours[each], 1.3) for each in alive]
    for number, (shown, colour, width) in enumerate(groups):
        is_shown = shown & history.is_there
        lines = descent_lines(history, where, is_shown)
        panel.add_collection(LineCollection(list(lines), colors=[colour], linewidths=width,
                                            zorder=1.5 + (number > 0)), False)  # fmt: skip
        rows, columns = np.nonzero(is_shown)
        panel.plot(
            history.generations[rows],
            height[columns],
            "o",
            color=colour,
            markersize=1.6 + width,
            markeredgewidth=0,
            zorder=1.6 + (number > 0),
        )
    for each in alive[:MOST_IN_THE_LEGEND]:
        n_members = int(((history.founder[-1] == each) & history.is_there[-1]).sum())
        label = f"line of slot {each}: {n_members} at the end"
        panel.plot([], [], color=colours[each], linewidth=1.8, label=label)
    panel.plot([], [], color="#C3C8CE", linewidth=1.2, label="died out")


def _draw_winner(panel: Axes, history: SearchHistory, height: NDArray[np.float64]) -> None:
    rows = np.flatnonzero(history.winner >= 0)
    if not len(rows):
        return
    generation, own = history.generations[rows], height[history.winner[rows]]
    panel.plot(generation, own, color="white", linewidth=4.6, zorder=2.8)
    panel.plot(generation, own, color="#222222", linewidth=2.2, zorder=2.9,
               label="descent of the best state")  # fmt: skip
    panel.plot(generation[-1], own[-1], "*", color=WINNER_COLOUR, markersize=14, zorder=5,
               markeredgecolor="white", linestyle="none", label="best state")  # fmt: skip


def _draw_frozen(panel: Axes, history: SearchHistory, height: NDArray[np.float64]) -> None:
    rows, columns = np.nonzero(history.is_frozen)
    if len(rows):
        panel.plot(history.generations[rows], height[columns], "x", color="#A6478A", markersize=5.5,
                   markeredgewidth=1.5, linestyle="none", zorder=4, label="frozen")  # fmt: skip


def _slot_axis(panel: Axes, history: SearchHistory, height: NDArray[np.float64]) -> None:
    is_kept = history.is_there[-1]
    kept = np.flatnonzero(is_kept)
    numbered = kept[:: -(-len(kept) // 40)]
    panel.set_yticks(height[numbered], [str(history.members[each]) for each in numbered])
    panel.set_ylim(height.min() - 0.7, height.max() + 0.7)
    panel.set_ylabel("slot")
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
