"""Rates against the true rates of a synthetic system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import (
    HELD_OUT_COLOUR,
    MODEL_COLOUR,
    QUIET_COLOUR,
    panel_grid,
)
from lfads_torch.analysis.figures.selection import positions_of
from lfads_torch.analysis.metrics.r_squared import has_variance, pooled_r2

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RateTruth", "r2_per_unit"]

_LOWEST_R2 = -0.5  # a unit below it is a triangle at the edge, or it would squeeze all others


class RateTruth(FigureRecipe):
    """Left: inferred against true rates. Right: R2 of every unit."""

    name = "rate_truth"
    title = "Inferred rates against the true rates"
    caption = (
        "Left: every bin of every unit in the set named, inferred against true rate (darker: more "
        "bins; on the line both agree). Right: R² of each unit, pooled over trials and bins, "
        "against its mean true rate; held-out units as purple squares, the median as a line. "
        "Triangles at the lower edge are units below it."
    )
    caveat = (
        "Truth is known for synthetic systems only: a good R² here says that the model can find "
        "such dynamics, not that it found those of a recording."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if (reason := aligned.why_no_counts(inputs)) is not None:
            return reason
        if inputs.recording is None or inputs.recording.true_rates is None:
            return (
                "The true rates are not known; they are for synthetic systems only (`lfads synth`)."
            )
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        truth, rates, name = _pairs(inputs, choice)
        figure, panels = panel_grid(
            1, 2, row_height_in=3.4, extra_in=0.3, gridspec_kw={"width_ratios": (1.0, 1.35)}
        )
        _draw_bins(panels[0, 0], truth, rates, inputs, name)
        _draw_units(panels[0, 1], truth, rates, inputs, choice)
        return figure


def r2_per_unit(truth: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """R2 of each unit [N] from [B, T, N], pooled over trials and bins; NaN without variance."""
    score = np.full(truth.shape[2], np.nan)
    varies = has_variance(truth)
    if varies.any():
        score[varies] = pooled_r2(truth, rates, label="true rates").per_column
    return score


def _pairs(
    inputs: FigureInputs, choice: FigureChoice
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    name = aligned.reported_set(inputs)
    trials = np.flatnonzero(aligned.trial_sets(inputs) == name)
    word = f"{aligned.SET_WORDS.get(name, name)} trials"
    if choice.trials:
        ids = aligned.text_of(aligned.opened_rates(inputs), "trial_id")
        trials, word = positions_of(choice.trials, ids, "trial"), "trials asked for"
    if inputs.recording is None or inputs.recording.true_rates is None:
        raise ValueError("these inputs hold no true rates; ask needs before drawing")
    truth = aligned.aligned(inputs, inputs.recording.true_rates, trials).astype(np.float64)
    return truth, aligned.rates_of(inputs, trials), f"{len(trials)} {word}"


def _draw_bins(
    panel: Axes,
    truth: NDArray[np.float64],
    rates: NDArray[np.float64],
    inputs: FigureInputs,
    name: str,
) -> None:
    like = aligned.like_units(inputs)
    truth, rates = truth[:, :, like], rates[:, :, like]
    known = np.isfinite(truth) & np.isfinite(rates)
    top = max(float(np.percentile(np.concatenate([truth[known], rates[known]]), 99.8)), 1e-9)
    density, _, _ = np.histogram2d(
        truth[known], rates[known], bins=70, range=((0.0, top), (0.0, top))
    )
    logarithm = np.ma.masked_equal(np.log10(np.maximum(density.T, 1e-9)), -9.0)
    panel.imshow(
        logarithm, origin="lower", extent=(0.0, top, 0.0, top), cmap="Blues",
        vmin=-0.8, aspect="equal",
    )  # fmt: skip
    panel.plot((0.0, top), (0.0, top), color="#333333", linewidth=0.8, linestyle=(0, (4, 3)))
    unit = aligned.rate_unit(inputs, like)
    panel.set(xlabel=f"true rate ({unit})", ylabel=f"inferred rate ({unit})", title=name)
    panel.locator_params(nbins=5)


def _draw_units(
    panel: Axes,
    truth: NDArray[np.float64],
    rates: NDArray[np.float64],
    inputs: FigureInputs,
    choice: FigureChoice,
) -> None:
    score, level = r2_per_unit(truth, rates), np.nanmean(truth, axis=(0, 1))
    seen = aligned.is_encoded(inputs)
    style: dict[str, Any] = {"s": 26, "linewidth": 0.6, "edgecolor": "white", "clip_on": False}
    shown = np.where(score < _LOWEST_R2, np.nan, score)
    panel.scatter(level[seen], shown[seen], color=MODEL_COLOUR, label="encoded units", **style)
    if not seen.all():
        panel.scatter(
            level[~seen], shown[~seen], color=HELD_OUT_COLOUR, marker="s",
            label="held-out units", **style,
        )  # fmt: skip
    below = np.flatnonzero(score < _LOWEST_R2)
    if len(below):  # an unclipped line without points breaks the constrained layout
        panel.plot(level[below], np.full(len(below), _LOWEST_R2), "v", color=QUIET_COLOUR,
                   markersize=5, clip_on=False, linestyle="")  # fmt: skip
    median = float(np.nanmedian(score)) if np.isfinite(score).any() else np.nan
    panel.axhline(median, color=QUIET_COLOUR, linewidth=1.0, label=f"median {median:.3f}", zorder=0)
    lowest = float(np.nanmin(score, initial=0.0))
    panel.set_ylim(max(_LOWEST_R2, min(0.0, 1.05 * lowest)), 1.0)
    ids = aligned.text_of(aligned.opened_rates(inputs), "unit_id")
    for unit in positions_of(choice.units, ids, "unit"):
        panel.annotate(str(ids[unit]), (level[unit], score[unit]), xytext=(4, 4),
                       textcoords="offset points", fontsize=8)  # fmt: skip
    panel.set(xlabel=f"mean true rate ({aligned.rate_unit(inputs)})", ylabel="R² of the unit")
    panel.set_title("R² per unit")
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.0)
