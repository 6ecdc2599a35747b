"""Where trials start: the inferred initial conditions in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import principal_components
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import condition_colours, panel_grid
from lfads_torch.analysis.figures.selection import positions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["InitialConditions"]

_MARKERS = {"train": "o", "valid": "D", "test": "s", "new": "^"}
_MOST_NAMED = 7


class InitialConditions(FigureRecipe):
    """One point per trial: colour for the condition, shape for the set."""

    name = "initial_conditions"
    title = "Initial conditions"
    caption = (
        "The first two principal components of the posterior means of the initial condition, a "
        "point per trial: small dots train, larger outlined shapes the other sets. Left by "
        "condition; right the share of variance of each component."
    )
    caveat = (
        "Clusters by condition mean that trials of a condition start alike, no more: where all "
        "information enters through the inferred inputs this plane stays empty, and directions "
        "with little variance may matter most to the dynamics."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if (reason := aligned.why_no_rates(inputs, "initial_condition_mean")) is not None:
            return reason
        rates = aligned.opened_rates(inputs)
        if rates["initial_condition_mean"].shape[-1] < 2:
            return "The initial condition has one dimension; a plane needs 2."
        if rates.sizes["trial"] < 3:
            return f"There are {rates.sizes['trial']} trials; principal components need at least 3."
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        everything = np.arange(aligned.opened_rates(inputs).sizes["trial"])
        values = aligned.rates_of(inputs, everything, "initial_condition_mean")
        points, share = principal_components(values, min(10, values.shape[1]))
        figure, panels = panel_grid(
            1, 2, row_height_in=3.5, extra_in=0.4, gridspec_kw={"width_ratios": (2.0, 1.0)}
        )
        _draw_points(panels[0, 0], inputs, points[:, :2], choice)
        _legend(figure, inputs)
        panels[0, 0].set_xlabel(f"PC 1 ({share[0]:.0%} of variance)")
        panels[0, 0].set_ylabel(f"PC 2 ({share[1]:.0%} of variance)")
        place = np.arange(1, len(share) + 1)
        panels[0, 1].bar(place, 100 * share, color="#8A8F98", width=0.7)
        panels[0, 1].set(
            xlabel="principal component", ylabel="share of variance (%)", ylim=(0, None)
        )
        panels[0, 1].set_xticks(place)
        return figure


def _draw_points(
    panel: Axes, inputs: FigureInputs, points: NDArray[np.float64], choice: FigureChoice
) -> None:
    sets, labels = aligned.trial_sets(inputs), aligned.condition_labels(inputs)
    groups = np.full(len(points), "all trials") if labels is None else labels
    names = aligned.condition_names(groups)
    colour_of = dict(zip(names, condition_colours(names), strict=True))
    colours = np.array([colour_of[str(group)] for group in groups], dtype=object)
    for name, marker in _MARKERS.items():
        rows = np.flatnonzero(sets == name)
        if len(rows) == 0:
            continue
        trained = name == "train"
        panel.scatter(
            points[rows, 0],
            points[rows, 1], c=list(colours[rows]), marker=marker, s=10 if trained else 24,
            alpha=0.55 if trained else 1.0, linewidth=0 if trained else 0.6, edgecolor="#222222",
        )  # fmt: skip
    ids = aligned.text_of(aligned.opened_rates(inputs), "trial_id")
    for row in positions_of(choice.trials, ids, "trial"):
        panel.annotate(str(ids[row]), points[row], xytext=(4, 4), textcoords="offset points")
    panel.locator_params(nbins=5)
    panel.set_aspect("equal", adjustable="datalim")


def _legend(figure: Figure, inputs: FigureInputs) -> None:
    from matplotlib.lines import Line2D

    sets, labels = aligned.trial_sets(inputs), aligned.condition_labels(inputs)
    names = [] if labels is None else aligned.condition_names(labels)

    handles = [
        Line2D([], [], linestyle="", marker=marker, color="#777777", markersize=5,
               label=aligned.SET_WORDS[name])
        for name, marker in _MARKERS.items()
        if (sets == name).any()
    ]  # fmt: skip
    if 1 < len(names) <= _MOST_NAMED:
        handles += [
            Line2D([], [], linestyle="", marker="o", markersize=5, label=f"condition {name}",
                   color=colour)
            for name, colour in zip(names, condition_colours(names), strict=True)
        ]  # fmt: skip
    elif len(names) > _MOST_NAMED:
        figure.axes[0].set_title(
            f"{len(names)} conditions, {names[0]} (dark) to {names[-1]} (light)", loc="right"
        )
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 8),
                  columnspacing=1.0, handletextpad=0.2)  # fmt: skip
