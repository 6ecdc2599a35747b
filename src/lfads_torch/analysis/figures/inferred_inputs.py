"""What the controller gave the generator: single trials and their average, per input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import (
    DATA_COLOUR,
    MODEL_COLOUR,
    TRUTH_COLOUR,
    panel_grid,
    time_axis,
)
from lfads_torch.analysis.figures.selection import positions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["InferredInputs", "prior_scale"]

_MOST_INPUTS, _MOST_TRIALS = 8, 200


class InferredInputs(FigureRecipe):
    """A row per input. Left: trials by time. Right: mean and spread over trials, and the prior."""

    name = "inferred_inputs"
    title = "Inferred inputs"
    caption = (
        "A row per inferred input. Left: its posterior mean in single trials of the set named, "
        "sorted by the time of the true pulse where one is known (black dots) or else by "
        "condition. Right: mean and standard deviation over those trials; dashed: plus and minus "
        "one standard deviation of the prior, within which an input costs next to nothing."
    )
    caveat = (
        "An inferred input is what the generator could not predict, no proof of an anatomical "
        "input. Unless the model is causal, the controller sees the next bin and, through its "
        "encoder, the future: an input may lead its event. Sign, rotation and scale are "
        "arbitrary; an input that stays near zero is not in use."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if (reason := aligned.why_no_rates(inputs)) is not None:
            return reason
        rates = aligned.opened_rates(inputs)
        absent = "inferred_input_mean" not in rates.variables
        if absent or rates.sizes.get("inferred_input", 0) == 0:
            return (
                "The model has no controller, so no inputs were inferred (model.n_inferred_inputs)."
            )
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        trials, pulse_s = _sorted_trials(inputs, choice)
        values = aligned.rates_of(inputs, trials, "inferred_input_mean")[:, :, :_MOST_INPUTS]
        n_inputs = values.shape[2]
        figure, panels = panel_grid(
            n_inputs, 2, row_height_in=1.6 if n_inputs > 1 else 2.2, sharex=True,
            gridspec_kw={"width_ratios": (1.15, 1.0)},
        )  # fmt: skip
        limit = max(float(np.percentile(np.abs(values), 99.5)), 1e-9)
        scale, scale_word = prior_scale(inputs, n_inputs)
        for row in range(n_inputs):
            image = _draw_trials(panels[row, 0], inputs, values[:, :, row], limit=limit)
            if pulse_s is not None:
                panels[row, 0].scatter(pulse_s, np.arange(len(trials)), s=9, color=TRUTH_COLOUR,
                                       edgecolor="white", linewidth=0.5, zorder=3)  # fmt: skip
            _draw_mean(panels[row, 1], inputs, values[:, :, row], scale=scale[row])
            panels[row, 0].set_ylabel(f"input {row}\ntrial")
        bar = figure.colorbar(image, ax=panels[:, 0], fraction=0.04, pad=0.02, extend="both",
                              aspect=14 * n_inputs)  # fmt: skip
        bar.set_label("posterior mean (a.u.)")
        _label(panels, inputs, len(trials), scale_word=scale_word, asked=bool(choice.trials))
        return figure


def prior_scale(inputs: FigureInputs, n_inputs: int) -> tuple[NDArray[np.float64], str | None]:
    """Standard deviation of the prior per input, and in words whether it is the learned one.

    The learned one is the attribute `input_prior_std` of rates.nc. Without it, that of the
    settings, where training started: `v / (1 - a^2)` for AR(1), with `a = exp(-1 / tau)`.
    """
    learned = aligned.opened_rates(inputs).attrs.get("input_prior_std")
    if learned is not None and np.size(learned) >= n_inputs:
        return np.atleast_1d(np.asarray(learned, dtype=np.float64)), "learned prior"
    model = inputs.settings.get("model", {})
    variance = model.get("input_prior_variance")
    if variance is None:
        return np.full(n_inputs, np.nan), None
    if model.get("input_prior") == "autoregressive":
        tau_bins = float(model.get("input_prior_time_constant", 10.0))
        if model.get("time_constant_unit") == "ms":
            tau_bins /= 1e3 * aligned.bin_width_s(inputs)
        variance = float(variance) / (1.0 - np.exp(-2.0 / tau_bins))
    return np.full(n_inputs, np.sqrt(float(variance))), "prior at the start of training"


def _sorted_trials(
    inputs: FigureInputs, choice: FigureChoice
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Trials of the reported set, sorted; and when their true pulse came (NaN: none)."""
    trials = np.flatnonzero(aligned.trial_sets(inputs) == aligned.reported_set(inputs))
    if choice.trials:
        ids = aligned.text_of(aligned.opened_rates(inputs), "trial_id")
        trials = positions_of(choice.trials, ids, "trial")
    if len(trials) > _MOST_TRIALS:
        trials = trials[np.linspace(0, len(trials) - 1, _MOST_TRIALS).astype(np.int64)]
    pulse_s = _pulse_times(inputs, trials)
    if pulse_s is not None:
        order = np.argsort(pulse_s, kind="stable")
        return trials[order], pulse_s[order]
    labels = aligned.condition_labels(inputs)
    if labels is not None:
        rank = {name: row for row, name in enumerate(aligned.condition_names(labels))}
        ranks = [rank[str(label)] for label in labels[trials]]
        trials = trials[np.argsort(ranks, kind="stable")]
    return trials, None


def _pulse_times(inputs: FigureInputs, trials: NDArray[np.int64]) -> NDArray[np.float64] | None:
    if aligned.why_no_counts(inputs) is not None or inputs.recording is None:
        return None
    if inputs.recording.true_inputs is None:
        return None
    size = np.abs(aligned.aligned(inputs, inputs.recording.true_inputs, trials)).max(axis=2)
    time_s = aligned.opened_rates(inputs)["time"].values
    return np.where(size.max(axis=1) > 0, time_s[size.argmax(axis=1)], np.nan)


def _draw_trials(
    panel: Axes, inputs: FigureInputs, values: NDArray[np.float64], *, limit: float
) -> Any:  # matplotlib's AxesImage
    time_s, half = aligned.opened_rates(inputs)["time"].values, aligned.bin_width_s(inputs) / 2
    image = panel.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit,
        extent=(time_s[0] - half, time_s[-1] + half, len(values) - 0.5, -0.5),
    )  # fmt: skip
    time_axis(panel, time_s)
    panel.locator_params(axis="y", nbins=4, integer=True, min_n_ticks=1)
    return image


def _draw_mean(
    panel: Axes, inputs: FigureInputs, values: NDArray[np.float64], *, scale: float
) -> None:
    time_s = aligned.opened_rates(inputs)["time"].values
    mean, spread = values.mean(axis=0), values.std(axis=0)
    panel.axhline(0.0, color="#BBBBBB", linewidth=0.7, zorder=0)
    panel.fill_between(time_s, mean - spread, mean + spread, color=MODEL_COLOUR, alpha=0.2,
                       linewidth=0, label="s.d. over trials")  # fmt: skip
    panel.plot(time_s, mean, color=MODEL_COLOUR, label="mean over trials")
    if np.isfinite(scale):
        for sign in (-1.0, 1.0):
            panel.axhline(sign * scale, color=DATA_COLOUR, linewidth=1.0, linestyle=(0, (4, 3)),
                          label="prior" if sign > 0 else None)  # fmt: skip
    time_axis(panel, time_s, is_encoded_bin=aligned.is_encoded_bin(inputs))
    panel.locator_params(axis="y", nbins=4)


def _label(
    panels: NDArray[Any],
    inputs: FigureInputs,
    n_trials: int,
    *,
    scale_word: str | None,
    asked: bool,
) -> None:
    name = aligned.reported_set(inputs)
    word = "trials asked for" if asked else f"{aligned.SET_WORDS.get(name, name)} trials"
    panels[0, 0].set_title(f"{n_trials} {word}")
    for panel in panels[-1]:
        panel.set_xlabel("time (s)")
    handles, labels = panels[0, 1].get_legend_handles_labels()
    labels = [f"± 1 s.d. of the {scale_word}" if text == "prior" else text for text in labels]
    panels[0, 0].figure.legend(handles, labels, loc="outside upper right", ncols=3)
