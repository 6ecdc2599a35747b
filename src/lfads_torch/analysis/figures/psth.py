"""Condition averages of the data and of the model, for the best-modulated units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import condition_means, smoothed
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import condition_colours, panel_grid, time_axis
from lfads_torch.analysis.figures.selection import chosen_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Psth"]

_DOTTED: dict[str, Any] = {"linestyle": ":", "linewidth": 1.2}
_N_CONDITIONS, _N_COLUMNS, _MOST_UNITS = 4, 3, 12


@dataclass(frozen=True, kw_only=True)
class _Averages:
    """Averages [condition, T, N] of data and model, and the sets that they come from."""

    names: list[str]
    data: NDArray[np.float64]
    model: NDArray[np.float64]  # as inferred
    smoothed_model: NDArray[np.float64]  # with the smoothing of the data
    data_set: str
    model_set: str


class Psth(FigureRecipe):
    """A panel per unit, a colour per condition."""

    name = "psth"
    title = "Condition averages: data and model"
    caption = (
        "The most modulated units (or those asked for). Pale and wide: the average count of the "
        "condition's training trials, smoothed (Gaussian, 50 ms). Dark and thin: the average of "
        "the rates inferred for other trials of the same condition, never trained on where there "
        "are such, smoothed in the same way; dotted: before it was smoothed. At most four "
        "conditions are drawn, spread evenly over the list."
    )
    caveat = (
        "Averages over trials hide what single trials do: a model that gives every trial its "
        "condition's average would look perfect here. Few trials per condition make both curves "
        "noisy, and the units drawn are the easiest ones. The PSTH score compares the dotted "
        "curves with the pale ones, so that smoothing the data lowers it where rates change fast "
        "or trials are short."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if (reason := aligned.why_no_counts(inputs)) is not None:
            return reason
        labels = aligned.condition_labels(inputs)
        if labels is None:
            return "The recording has no conditions, so there are no trials to average over."
        if len(np.unique(labels)) == len(labels):
            return "Every trial is a condition of its own, so there is nothing to average over."
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        units = chosen_units(inputs, choice, 6)[:_MOST_UNITS]
        averages = _averages(inputs)
        n_columns = min(_N_COLUMNS, len(units))
        n_rows = -(-len(units) // n_columns)
        figure, panels = panel_grid(n_rows, n_columns, row_height_in=1.9, sharex=True)
        for place, unit in enumerate(units):
            _draw_unit(panels.flat[place], inputs, averages, unit=int(unit))
        for panel in panels.flat[len(units) :]:
            panel.set_axis_off()
        of_units = aligned.rate_units(inputs)[units]
        for place, unit_word in enumerate(of_units.tolist()):
            if place % n_columns == 0 or unit_word != of_units[place - 1]:
                panels.flat[place].set_ylabel(unit_word)
        for panel in panels[-1]:
            panel.set_xlabel("time (s)")
        _legend(figure, averages)
        return figure


def _averages(inputs: FigureInputs) -> _Averages:
    sets, labels = aligned.trial_sets(inputs), aligned.condition_labels(inputs)
    if labels is None:
        raise ValueError("these inputs hold no conditions; ask needs before drawing")
    data_set, model_set = "train", aligned.reported_set(inputs)
    if not (sets == "train").any():
        data_set = model_set
    of_data, of_model = np.flatnonzero(sets == data_set), np.flatnonzero(sets == model_set)
    both = aligned.condition_names(np.intersect1d(labels[of_data], labels[of_model]))
    if len(both) == 0:
        both = aligned.condition_names(labels[of_data])
        of_model, model_set = of_data, data_set
    shown = np.unique(np.linspace(0, len(both) - 1, min(len(both), _N_CONDITIONS)).astype(int))
    names = [both[row] for row in shown]
    width_s = aligned.bin_width_s(inputs)
    data = condition_means(aligned.counts(inputs, of_data), labels[of_data], names)
    model = condition_means(aligned.rates_of(inputs, of_model), labels[of_model], names)
    return _Averages(
        names=names,
        data=smoothed(data, width_s) / aligned.per_reported(inputs),
        model=model,
        smoothed_model=smoothed(model, width_s),
        data_set=data_set,
        model_set=model_set,
    )


def _draw_unit(panel: Axes, inputs: FigureInputs, averages: _Averages, *, unit: int) -> None:
    rates = aligned.opened_rates(inputs)
    time_s = rates["time"].values
    colours = condition_colours(averages.names)
    for row, colour in enumerate(colours):
        panel.plot(time_s, averages.data[row, :, unit], color=colour, alpha=0.30, linewidth=4.0)
    for row, colour in enumerate(colours):
        panel.plot(time_s, averages.smoothed_model[row, :, unit], color=colour, linewidth=1.3)
        panel.plot(time_s, averages.model[row, :, unit], color=colour, **_DOTTED)
    time_axis(panel, time_s, is_encoded_bin=aligned.is_encoded_bin(inputs))
    panel.locator_params(axis="y", nbins=4)
    if aligned.is_spiking(inputs)[unit]:
        panel.set_ylim(bottom=0.0)
    held_out = "" if aligned.is_encoded(inputs)[unit] else " (held out)"
    panel.set_title(f"unit {aligned.text_of(rates, 'unit_id')[unit]}{held_out}")


def _legend(figure: Figure, averages: _Averages) -> None:
    from matplotlib.lines import Line2D

    data_word = aligned.SET_WORDS.get(averages.data_set, averages.data_set)
    model_word = aligned.SET_WORDS.get(averages.model_set, averages.model_set)
    handles = [
        Line2D([], [], color="#555555", alpha=0.35, linewidth=4.0, label=f"data, {data_word}"),
        Line2D([], [], color="#555555", linewidth=1.3, label=f"model, {model_word}"),
        Line2D([], [], color="#555555", **_DOTTED, label="before smoothing"),
    ]
    for name, colour in zip(averages.names, condition_colours(averages.names), strict=True):
        handles.append(Line2D([], [], color=colour, linewidth=2.2, label=f"condition {name}"))
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
