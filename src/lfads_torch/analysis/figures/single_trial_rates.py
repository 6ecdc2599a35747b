"""Single-trial rates of a few units against the truth or the condition average, with spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import condition_means, smoothed
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import (
    DATA_COLOUR,
    HELD_OUT_COLOUR,
    MODEL_COLOUR,
    QUIET_COLOUR,
    TRUTH_COLOUR,
    panel_grid,
    time_axis,
)
from lfads_torch.analysis.figures.selection import chosen_trials, chosen_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SingleTrialRates"]

_MOST_UNITS, _MOST_TRIALS = 8, 6


class SingleTrialRates(FigureRecipe):
    """Rows: units. Columns: trials."""

    name = "single_trial_rates"
    title = "Single-trial rates against the truth or the condition average"
    caption = (
        "A row per unit (the most modulated ones, or those asked for), a column per trial. Blue: "
        "the inferred rate; its band is the spread over posterior samples, plus and minus one "
        "standard deviation. Black: the true rate, where known; otherwise orange, dashed: the "
        "average of the condition's training trials (Gaussian, 50 ms). Ticks: the trial's spikes; "
        "of units that count none, grey: the recorded signal. "
        "Purple shade: forward bins."
    )
    caveat = (
        "The band is neither a confidence interval nor the trial-to-trial variability: it depends "
        "on beta and leaves out what the model does not know about itself. A condition average is "
        "not the truth of one trial, so a departure from it may be signal or error."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        return aligned.why_no_rates(inputs)

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        trials = chosen_trials(inputs, choice, 4)[:_MOST_TRIALS]
        units = chosen_units(inputs, choice, 4)[:_MOST_UNITS]
        figure, panels = panel_grid(
            len(units), len(trials), row_height_in=1.45, extra_in=0.9, sharex=True, sharey="row"
        )
        rates = aligned.rates_of(inputs, trials)
        spread = _spread(inputs, trials)
        reference, kind = _reference(inputs, trials)
        counts = aligned.counts(inputs, trials) if aligned.why_no_counts(inputs) is None else None
        is_spiking = aligned.is_spiking(inputs)
        for row, unit in enumerate(units):
            for column in range(len(trials)):
                panel = panels[row, column]
                _draw_rate(panel, inputs, rates[column, :, unit], spread=spread[column, :, unit])
                _draw_reference(panel, inputs, reference[column, :, unit], kind=kind)
            of_unit = None if counts is None else counts[:, :, unit]
            if of_unit is not None and not is_spiking[unit]:
                _draw_signal(panels[row], inputs, of_unit)
                of_unit = None
            _finish_row(panels[row], inputs, of_unit)
        _label(panels, inputs, trials, units=units)
        figure.legend(*_handles(panels), loc="outside upper right", ncols=4)
        return figure


def _spread(inputs: FigureInputs, trials: NDArray[np.int64]) -> NDArray[np.float64]:
    if "rate_posterior_std" in aligned.opened_rates(inputs).variables:
        return aligned.rates_of(inputs, trials, "rate_posterior_std")
    return np.zeros_like(aligned.rates_of(inputs, trials))


def _reference(
    inputs: FigureInputs, trials: NDArray[np.int64]
) -> tuple[NDArray[np.float64], str | None]:
    """The curve to compare with [B, T, N]: the truth or the condition's average, and which."""
    nothing = np.full_like(aligned.rates_of(inputs, trials), np.nan)
    if aligned.why_no_counts(inputs) is not None or inputs.recording is None:
        return nothing, None
    if inputs.recording.true_rates is not None:
        values = aligned.aligned(inputs, inputs.recording.true_rates, trials)
        return values.astype(np.float64), "truth"
    labels = aligned.condition_labels(inputs)
    if labels is None:
        return nothing, None
    sets = aligned.trial_sets(inputs)
    known = np.flatnonzero(sets == ("train" if (sets == "train").any() else sets[trials[0]]))
    names = [str(name) for name in np.unique(labels[trials])]
    means = condition_means(aligned.counts(inputs, known), labels[known], names)
    means = smoothed(means, aligned.bin_width_s(inputs))
    means = means / aligned.per_reported(inputs)
    return means[[names.index(str(labels[trial])) for trial in trials]], "average"


def _draw_rate(
    panel: Axes, inputs: FigureInputs, rate: NDArray[np.float64], *, spread: NDArray[np.float64]
) -> None:
    time_s = aligned.opened_rates(inputs)["time"].values
    panel.fill_between(
        time_s, np.maximum(rate - spread, min(0.0, float(np.nanmin(rate)))), rate + spread,
        color=MODEL_COLOUR, alpha=0.22, linewidth=0,
        label="spread over posterior samples (not a confidence interval)",
    )  # fmt: skip
    panel.plot(time_s, rate, color=MODEL_COLOUR, label="inferred rate", zorder=3)
    time_axis(panel, time_s, is_encoded_bin=aligned.is_encoded_bin(inputs))


def _draw_reference(
    panel: Axes, inputs: FigureInputs, values: NDArray[np.float64], *, kind: str | None
) -> None:
    time_s = aligned.opened_rates(inputs)["time"].values
    if kind == "truth":
        panel.plot(time_s, values, color=TRUTH_COLOUR, linewidth=1.0, label="true rate")
    elif kind == "average":
        panel.plot(
            time_s, values, color=DATA_COLOUR, linewidth=1.1, linestyle=(0, (4, 2)),
            label="condition average, train (Gaussian, 50 ms)",
        )  # fmt: skip


def _draw_signal(panels: NDArray[Any], inputs: FigureInputs, values: NDArray[np.float64]) -> None:
    """What was recorded of a unit that counts no spikes, [trial, T]."""
    time_s = aligned.opened_rates(inputs)["time"].values
    for panel, of_trial in zip(panels, values, strict=True):
        panel.plot(time_s, of_trial, color=QUIET_COLOUR, linewidth=0.6, zorder=1)


def _finish_row(
    panels: NDArray[Any], inputs: FigureInputs, spikes: NDArray[np.float64] | None
) -> None:
    """One rate axis for the row, from zero where the rates are, with a strip for ticks below."""
    lines = np.concatenate([line.get_ydata() for panel in panels for line in panel.lines[:]])
    lines = lines[np.isfinite(lines)]
    top = max(float(lines.max(initial=0.0)) * 1.12, 1e-9)
    bottom = min(float(lines.min(initial=0.0)), 0.0)
    strip = 0.16 * (top - bottom) if spikes is not None else 0.0
    panels[0].set_ylim(bottom - strip, top)
    panels[0].locator_params(axis="y", nbins=4)
    panels[0].set_yticks([tick for tick in panels[0].get_yticks() if bottom <= tick <= top])
    if spikes is None:
        return
    time_s = aligned.opened_rates(inputs)["time"].values
    for panel, trial in zip(panels, spikes, strict=True):
        at = time_s[np.isfinite(trial) & (trial > 0)]
        panel.vlines(
            at, bottom - 0.9 * strip, bottom - 0.25 * strip, color="#444444", linewidth=0.8
        )


def _label(
    panels: NDArray[Any], inputs: FigureInputs, trials: NDArray[np.int64], *, units: Any
) -> None:
    rates = aligned.opened_rates(inputs)
    trial_ids, unit_ids = aligned.text_of(rates, "trial_id"), aligned.text_of(rates, "unit_id")
    sets, seen = aligned.trial_sets(inputs), aligned.is_encoded(inputs)
    for column, trial in enumerate(trials):
        word = aligned.SET_WORDS.get(str(sets[trial]), str(sets[trial]))
        panels[0, column].set_title(f"trial {trial_ids[trial]} ({word})")
        panels[-1, column].set_xlabel("time (s)")
    for row, unit in enumerate(units):
        held_out = "" if seen[unit] else "\nheld out"
        panels[row, 0].set_ylabel(
            f"unit {unit_ids[unit]}{held_out}\n{aligned.rate_units(inputs)[unit]}",
            color="#333333" if seen[unit] else HELD_OUT_COLOUR,
        )


def _handles(panels: NDArray[Any]) -> tuple[list[Any], list[str]]:
    handles, labels = panels[0, 0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda row: labels[row].startswith("spread"))
    return [handles[row] for row in order], [labels[row] for row in order]
