"""Every term of the loss over the epochs, per member, with the best epoch marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import MODEL_COLOUR, SET_COLOURS, panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LossCurves", "best_epoch", "chosen_epoch", "term"]

# Panels: title, unit, logarithmic, and the curves as (key of metrics.jsonl, name, colour, width).
Curve = tuple[str, str, str, float]
_SCORE: tuple[Curve, ...] = (
    ("reconstruction", "train (dropout on)", SET_COLOURS["train"], 1.0),
    ("valid_reconstruction", "validation", "#EBAA7C", 0.8),
    ("valid_score", "validation, smoothed: the score", SET_COLOURS["valid"], 1.7),
)
_PANELS: tuple[tuple[str, str, bool, tuple[Curve, ...]], ...] = (
    ("Reconstruction", "nats", False, _SCORE),
    ("Ramps", "weight", False,
     (("ramp_kl", "divergences", MODEL_COLOUR, 2.4), ("ramp_l2", "L2", "#E69F00", 1.2))),
    ("Loss, all terms weighted", "loss", False, (("loss", "train", SET_COLOURS["train"], 1.2),)),
    ("Divergence, initial condition", "nats", False,
     (("kl_initial_condition", "train", SET_COLOURS["train"], 1.2),)),
    ("Divergence, inferred inputs", "nats", False,
     (("kl_inputs", "train", SET_COLOURS["train"], 1.2),)),
    ("L2 of the recurrent weights", "a.u.", False, (("l2", "train", SET_COLOURS["train"], 1.2),)),
    ("Gradient norm", "before clipping", True,
     (("gradient_norm", "train", SET_COLOURS["train"], 1.0),)),
    ("Learning rate", "per step", True, (("learning_rate", "rate", MODEL_COLOUR, 1.4),)),
)  # fmt: skip


class LossCurves(FigureRecipe):
    """A panel per term; other members than the best one are thin."""

    name = "loss_curves"
    title = "Training: every term of the loss"
    caption = (
        "Top: reconstruction (negative log-likelihood) of train and validation trials, and the "
        "smoothed validation score that decides the best epoch (dashed line; as a rule only "
        "epochs after both ramps count). Around it: the other terms, the gradient's norm, the "
        "learning rate and the ramps. With several members, the best one is drawn bold and the "
        "others thin. The first epochs may leave a panel at the top; a gap is a number that was "
        "not finite."
    )
    caveat = (
        "The validation score chose the best epoch, so it is no estimate for new trials. Train "
        "and validation reconstruction differ by dropout alone to begin with: their distance is "
        "not the amount of overfitting. Losses of different recordings cannot be compared."
    )

    def needs(self, inputs: FigureInputs) -> str | None:
        if not inputs.metrics:
            return "The run has no metrics.jsonl, or no epoch was finished."
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        shown = [panel for panel in _PANELS if _is_there(inputs.metrics, panel[3])]
        n_rows = 1 + -(-(len(shown) - 2) // 3)
        figure, _ = panel_grid(1, 1, row_height_in=2.5 + 1.55 * (n_rows - 1), extra_in=0.3)
        figure.clear()
        grid = figure.add_gridspec(n_rows, 3, height_ratios=[1.5] + [1.0] * (n_rows - 1))
        epoch = np.array([float(row["epoch"]) for row in inputs.metrics])
        best = chosen_epoch(inputs)
        for place, (title, unit, is_log, curves) in enumerate(shown):
            panel = figure.add_subplot(grid[0, :2] if place == 0 else grid[divmod(place + 1, 3)])
            _draw_panel(panel, inputs.metrics, epoch, curves=curves, is_log=is_log, best=best)
            panel.set(title=title, ylabel=unit)
            panel.set_xlabel("epoch" if place + 3 >= len(shown) or place < 2 else "")
        return figure


def term(metrics: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """One term over the epochs [epoch, member]; NaN where it is null or was not written."""
    rows = [row.get(key) for row in metrics]
    lists = [value if isinstance(value, (list, tuple)) else [value] for value in rows]
    n_members = max((len(value) for value in lists), default=1)
    values = np.full((len(lists), n_members), np.nan)
    for row, value in enumerate(lists):
        for member, number in enumerate(value):
            values[row, member] = np.nan if number is None else float(number)
    return values


def chosen_epoch(inputs: FigureInputs) -> tuple[int, int] | None:
    """Row and member of the epoch whose weights the run kept as the best ones.

    `None` where no epoch counted, and for a refit: its last epoch is kept, whatever its score.
    """
    if inputs.run.get("refit"):
        return None
    training = inputs.settings.get("training") or {}
    return best_epoch(inputs.metrics, waits_for_ramps=training.get("best_from") != "start")


def best_epoch(
    metrics: Sequence[Mapping[str, Any]], *, waits_for_ramps: bool = True
) -> tuple[int, int] | None:
    """Row of the best smoothed score and its member; `None` if there is none.

    Only epochs after both ramps count, unless `training.best_from` of the run said otherwise.
    """
    score = term(metrics, "valid_score")
    for ramp in ("ramp_kl", "ramp_l2") if waits_for_ramps else ():
        weight = term(metrics, ramp)
        if np.isfinite(weight).any():
            score = np.where(weight >= 1.0, score, np.nan)
    if not np.isfinite(score).any():
        return None
    row, member = np.unravel_index(int(np.nanargmin(score)), score.shape)
    return int(row), int(member)


def _is_there(metrics: Sequence[Mapping[str, Any]], curves: tuple[Curve, ...]) -> bool:
    return any(np.isfinite(term(metrics, key)).any() for key, *_ in curves)


def _draw_panel(
    panel: Axes,
    metrics: Sequence[Mapping[str, Any]],
    epoch: NDArray[np.float64],
    *,
    curves: tuple[Curve, ...],
    is_log: bool,
    best: tuple[int, int] | None,
) -> None:
    member = 0 if best is None else best[1]
    drawn = []
    for key, name, colour, width in curves:
        values = term(metrics, key)
        shown = min(member, values.shape[1] - 1)
        others = np.delete(values, shown, axis=1)
        if others.size:
            panel.plot(epoch, others, color=colour, linewidth=0.5, alpha=0.45)
        marker = "." if len(epoch) == 1 else ""
        panel.plot(
            epoch, values[:, shown], color=colour, linewidth=width, label=name, marker=marker
        )
        drawn.append(values)
    if best is not None:
        panel.axvline(epoch[best[0]], color="#333333", linewidth=0.9, linestyle=(0, (4, 3)))
    positive = np.nanmin(np.concatenate(drawn)) > 0 if drawn else False
    if curves[0][0].startswith("ramp"):
        panel.set_ylim(-0.03, 1.06)
    elif is_log and positive:
        panel.set_yscale("log")
    else:
        _limit(panel, np.concatenate([values[len(values) // 20 :] for values in drawn]))
    if len(curves) > 1:
        _legend(panel, epoch, best, n_members=max(values.shape[1] for values in drawn))


def _limit(panel: Axes, values: NDArray[np.float64]) -> None:
    """Keep the first twentieth of the epochs, often far above the rest, from setting the scale."""
    known = values[np.isfinite(values)]
    if known.size and known.max() > known.min():
        margin = 0.06 * (known.max() - known.min())
        panel.set_ylim(known.min() - margin, known.max() + margin)


def _legend(
    panel: Axes, epoch: NDArray[np.float64], best: tuple[int, int] | None, *, n_members: int
) -> None:
    from matplotlib.lines import Line2D

    handles, labels = panel.get_legend_handles_labels()
    if best is not None and len(handles) == len(_SCORE):
        of_member = f", member {best[1]} of {n_members}" if n_members > 1 else ""
        handles.append(Line2D([], [], color="#333333", linewidth=0.9, linestyle=(0, (4, 3))))
        labels.append(f"best epoch: {epoch[best[0]]:.0f}{of_member}")
    panel.legend(handles, labels, loc="best")
