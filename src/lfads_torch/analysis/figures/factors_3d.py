"""The factors' first three principal components in space, by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import condition_means, principal_components
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import condition_colours, new_figure
from lfads_torch.analysis.figures.selection import chosen_trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Factors3D"]

_VIEWS = ((24, -62), (24, 28))  # elevation, azimuth in degrees: a quarter turn apart
_MOST_NAMED = 7


class Factors3D(FigureRecipe):
    """The same trajectories from two sides."""

    name = "factors_3d"
    title = "Factors in three dimensions"
    caption = (
        "The first three principal components of the factors (fitted on all trials and bins), "
        "seen from two sides a quarter turn apart. Thick: the average over the trials of a "
        "condition; thin: a few single trials. A dot marks the first bin, a diamond the alignment "
        "event where the trials begin before it."
    )
    caveat = (
        "Scale, sign and rotation of factors are arbitrary, so neither axes nor runs can be "
        "compared by eye. What three components leave out is not shown; that loops look clean is "
        "no proof that the dynamics are those of the brain."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if (reason := aligned.why_no_rates(inputs, "factors")) is not None:
            return reason
        n_factors = aligned.opened_rates(inputs).sizes.get("factor", 0)
        if n_factors < 3:
            return f"The model has {n_factors} factors; three dimensions need at least 3."
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        used = aligned.trials_in_use(inputs)
        path, share = principal_components(aligned.rates_of(inputs, used, "factors"), 3)
        labels = aligned.condition_labels(inputs)
        groups = np.full(len(used), "all trials") if labels is None else labels[used]
        names = aligned.condition_names(groups)
        few = chosen_trials(inputs, choice, min(24, max(8, 3 * len(names))))
        singles = np.flatnonzero(np.isin(used, few))
        means = condition_means(path, groups, names)
        figure = new_figure(4.1)
        for place, (elevation, azimuth) in enumerate(_VIEWS):
            panel = figure.add_subplot(1, 2, place + 1, projection="3d")
            _draw_paths(panel, inputs, path[singles], colours=_colours(groups[singles], names))
            _draw_means(panel, inputs, means, names)
            _finish(panel, share)
            panel.view_init(elev=elevation, azim=azimuth)
        if 1 < len(names) <= _MOST_NAMED:
            handles, texts = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, texts, loc="outside upper center", ncols=len(names))
        elif len(names) > _MOST_NAMED:
            figure.suptitle(
                f"{len(names)} conditions, {names[0]} (dark) to {names[-1]} (light)",
                fontsize=9, x=0.01, ha="left",
            )  # fmt: skip
        return figure


def _colours(groups: NDArray[np.str_], names: list[str]) -> list[Any]:
    by_name = dict(zip(names, condition_colours(names), strict=True))
    return [by_name[str(group)] for group in groups]


def _draw_paths(
    panel: Any, inputs: FigureInputs, paths: NDArray[np.float64], *, colours: list[Any]
) -> None:
    for path, colour in zip(paths, colours, strict=True):
        panel.plot(*path.T, color=colour, linewidth=0.6, alpha=0.45)


def _draw_means(
    panel: Any, inputs: FigureInputs, means: NDArray[np.float64], names: list[str]
) -> None:
    time_s = aligned.opened_rates(inputs)["time"].values
    width, size = (2.4, 4.5) if len(names) <= _MOST_NAMED else (1.3, 2.5)
    for mean, name, colour in zip(means, names, condition_colours(names), strict=True):
        text = name if name == "all trials" else f"condition {name}"
        panel.plot(*mean.T, color=colour, linewidth=width, label=text, zorder=4)
        panel.plot(
            *mean[:1].T,
            "o",
            color=colour,
            markersize=size,
            markeredgecolor="white",
            markeredgewidth=size / 5,
            zorder=5,
        )
        if time_s[0] < 0 < time_s[-1]:
            at = int(np.abs(time_s).argmin())
            panel.plot(*mean[at : at + 1].T, "D", color=colour, markersize=size,
                       markeredgecolor="white", markeredgewidth=size / 5, zorder=5)  # fmt: skip


def _finish(panel: Any, share: NDArray[np.float64]) -> None:
    for place, axis in enumerate((panel.xaxis, panel.yaxis, panel.zaxis)):
        axis.set_label_text(f"PC {place + 1} ({share[place]:.0%})")
        axis.set_ticklabels([])
        axis.labelpad = -8
        axis.set_pane_color((0.975, 0.975, 0.98, 1.0))
        axis._axinfo["grid"].update(color="#E3E5EA", linewidth=0.5)
    panel.tick_params(length=0)
    panel.set_box_aspect((1, 1, 0.8), zoom=1.08)
