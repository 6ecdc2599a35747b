"""Counts of a trial beside its rates: what the model made of the spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import condition_means
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import HELD_OUT_COLOUR, panel_grid, time_axis
from lfads_torch.analysis.figures.selection import chosen_trials, positions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Rates"]

_MOST_TRIALS = 6
_COUNTS_PERCENTILE, _RATES_PERCENTILE = 99.9, 99.0


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Of the images that share a colour bar."""

    low: float
    high: float
    colours: str


class Rates(FigureRecipe):
    """Rows: trials. Columns: counts, rates, and the true rates where known."""

    name = "rates"
    title = "Counts and rates of single trials"
    caption = (
        "A row per trial, a line per unit, sorted by the time of the unit's peak rate. Left: the "
        "counts that were recorded; beside them the rates inferred for the same trial, and the "
        "true rates where they are known. Purple marks: held-out units, which the encoder never "
        "saw. Purple shade: forward bins. One colour scale for the counts of all trials, which "
        "ends at their 99.9th percentile (1 at least), and one for all rates, which ends at their "
        "99th. Where some units count spikes, only those; the others are in the figure of single "
        "trials."
    )
    caveat = (
        "Rates that look smooth and sparse need not be right: an image cannot show whether fine "
        "detail is signal or invention. The scores on held-out entries are the test of that."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        return aligned.why_no_counts(inputs)

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        trials = chosen_trials(inputs, choice, 3)[:_MOST_TRIALS]
        units = _by_peak(inputs, choice)
        images = _images(inputs, trials, units)
        scales = _scales(images, has_spikes=bool(aligned.is_spiking(inputs).any()))
        height_in = min(2.6, max(1.4, 0.5 + 0.016 * len(units)))
        figure, panels = panel_grid(len(trials), len(images), row_height_in=height_in, extra_in=1.2)
        for column, (name, values) in enumerate(images.items()):
            for row in range(len(trials)):
                image = _draw_image(panels[row, column], values[row], inputs, scale=scales[name])
                _mark_held_out(panels[row, column], ~aligned.is_encoded(inputs)[units])
            if name == "counts":
                of_spikes = bool(aligned.is_spiking(inputs)[units].all())
                label = "counts per bin" if of_spikes else "values per bin"
                _add_bar(figure, image, panels[:, 0], label=label)
        _add_bar(figure, image, panels[:, 1:], label=f"rate ({aligned.rate_unit(inputs, units)})")
        _label(panels, inputs, trials, names=list(images))
        return figure


def _by_peak(inputs: FigureInputs, choice: FigureChoice) -> NDArray[np.int64]:
    rates = aligned.opened_rates(inputs)
    if choice.units:
        return positions_of(choice.units, aligned.text_of(rates, "unit_id"), "unit")
    of_set = np.flatnonzero(aligned.trial_sets(inputs) == aligned.reported_set(inputs))
    mean = condition_means(aligned.rates_of(inputs, of_set), np.full(len(of_set), "all"), ["all"])[
        0
    ]
    order = np.argsort(mean.argmax(axis=0), kind="stable")
    return order[np.isin(order, aligned.like_units(inputs))]


def _images(
    inputs: FigureInputs, trials: NDArray[np.int64], units: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    images = {
        "counts": aligned.counts(inputs, trials)[:, :, units],
        "rates": aligned.rates_of(inputs, trials)[:, :, units],
    }
    if inputs.recording is not None and inputs.recording.true_rates is not None:
        images["true rates"] = aligned.aligned(inputs, inputs.recording.true_rates, trials)[
            :, :, units
        ].astype(np.float64)
    return images


def _scales(images: dict[str, NDArray[np.float64]], *, has_spikes: bool) -> dict[str, _Scale]:
    """One for the counts of all trials, and one for all rates, true or inferred."""
    of_rates = [values for name, values in images.items() if name != "counts"]
    low, high = _limits(of_rates, _RATES_PERCENTILE)
    scales = dict.fromkeys(images, _Scale(low=low, high=high, colours="viridis"))
    low, high = _limits([images["counts"]], _COUNTS_PERCENTILE)
    high = max(high, 1.0) if has_spikes else high
    return {**scales, "counts": _Scale(low=low, high=high, colours="Greys")}


def _limits(values: list[NDArray[np.float64]], percentile: float) -> tuple[float, float]:
    """From zero, or the same percentile of the other end where that is below, to a percentile."""
    known = np.concatenate([item[np.isfinite(item)] for item in values])
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [100 - percentile, percentile])
    return min(0.0, float(low)), max(float(high), 1e-9)


def _draw_image(
    panel: Axes, values: NDArray[np.float64], inputs: FigureInputs, *, scale: _Scale
) -> Any:  # matplotlib's AxesImage
    time_s = aligned.opened_rates(inputs)["time"].values
    half = aligned.bin_width_s(inputs) / 2
    image = panel.imshow(
        np.ma.masked_invalid(values.T), cmap=scale.colours, vmin=scale.low, vmax=scale.high,
        extent=(time_s[0] - half, time_s[-1] + half, values.shape[1] - 0.5, -0.5),
    )  # fmt: skip
    panel.set_facecolor("#F3E3D3")  # missing entries
    event_colour = "#444444" if scale.colours == "Greys" else "#FFFFFF"
    time_axis(
        panel, time_s, is_encoded_bin=aligned.is_encoded_bin(inputs), event_colour=event_colour
    )
    panel.locator_params(axis="y", nbins=4, integer=True, min_n_ticks=1)
    return image


def _add_bar(figure: Figure, image: Any, panels: NDArray[Any], *, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(
        image, ax=panels, location="bottom", pad=0.015, aspect=28, shrink=0.7, extend="max",
        fraction=0.12 / len(panels),
    )  # fmt: skip
    bar.set_label(label)
    bar.locator = MaxNLocator(4, integer=label.startswith("counts"))
    bar.update_ticks()


def _mark_held_out(panel: Axes, held_out: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(held_out)
    if len(rows) == 0:  # an unclipped line without points breaks the constrained layout
        return
    panel.plot(
        np.full(len(rows), 1.015), rows, "<", color=HELD_OUT_COLOUR, markersize=3, clip_on=False,
        transform=panel.get_yaxis_transform(),
    )  # fmt: skip


def _label(
    panels: NDArray[Any], inputs: FigureInputs, trials: NDArray[np.int64], *, names: list[str]
) -> None:
    ids = aligned.text_of(aligned.opened_rates(inputs), "trial_id")
    sets, labels = aligned.trial_sets(inputs), aligned.condition_labels(inputs)
    for row, trial in enumerate(trials):
        condition = "" if labels is None else f", {str(labels[trial])[:14]}"
        word = aligned.SET_WORDS.get(str(sets[trial]), str(sets[trial]))
        panels[row, 0].set_title(f"trial {ids[trial]} ({word}{condition})")
        for column in range(1, len(names)):
            panels[row, column].set_title(names[column])
            panels[row, column].tick_params(labelleft=False)
        panels[row, 0].set_ylabel("unit")
    for panel in panels[:-1].ravel():
        panel.tick_params(labelbottom=False)
    for panel in panels[-1]:
        panel.set_xlabel("time (s)")
