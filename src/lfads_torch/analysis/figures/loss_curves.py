"""Every term of the loss over the epochs, per member, with the best epoch marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import MODEL_COLOUR, SET_COLOURS, panel_grid
from lfads_torch.analysis.search_history import search_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LossCurves", "best_epoch", "bold_columns", "chosen_epoch", "member_ids", "term"]

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
        best, bold = chosen_epoch(inputs), bold_columns(inputs)
        for place, (title, unit, is_log, curves) in enumerate(shown):
            panel = figure.add_subplot(grid[0, :2] if place == 0 else grid[divmod(place + 1, 3)])
            drawn = _draw_curves(panel, inputs.metrics, epoch, curves=curves, bold=bold)
            _scale(panel, drawn, is_ramp=curves[0][0].startswith("ramp"), is_log=is_log,
                   is_search=bool(inputs.history))  # fmt: skip
            _mark_best(panel, inputs, best, n_curves=len(curves))
            panel.set(title=title, ylabel=unit)
            panel.set_xlabel("epoch" if place + 3 >= len(shown) or place < 2 else "")
        return figure


def member_ids(metrics: Sequence[Mapping[str, Any]]) -> list[int]:
    """Ids of all members of the run, in order: those of the rows, or 0, 1, ... without any."""
    found: set[int] = set()
    for row in metrics:
        terms = [value for name, value in row.items() if name != "messages"]
        sizes = [len(value) for value in terms if isinstance(value, (list, tuple))]
        found.update(row.get("members") or range(max(sizes, default=1)))
    return sorted(found) or [0]


def term(metrics: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """One term over the epochs [epoch, member], members as `member_ids` has them.

    NaN where it is null, was not written, or the member was not there.
    """
    ids = member_ids(metrics)
    column = {member: place for place, member in enumerate(ids)}
    values = np.full((len(metrics), len(ids)), np.nan)
    for place, row in enumerate(metrics):
        value = row.get(key)
        numbers = list(value) if isinstance(value, (list, tuple)) else [value] * len(ids)
        members = row.get("members") or range(len(numbers))
        for member, number in zip(members, numbers, strict=False):
            values[place, column[member]] = np.nan if number is None else float(number)
    return values


def chosen_epoch(inputs: FigureInputs) -> tuple[int, int] | None:
    """Row and column of the epoch whose weights the run kept as the best ones.

    `None` where no epoch counted, and for a refit: its last epoch is kept, whatever its score.
    """
    if inputs.run.get("refit"):
        return None
    best = (inputs.run.get("search") or {}).get("best") or {}
    rows = [n for n, row in enumerate(inputs.metrics) if row.get("epoch") == best.get("epoch")]
    ids = member_ids(inputs.metrics)
    if rows and best.get("slot") in ids:
        return rows[0], ids.index(best["slot"])
    training = inputs.settings.get("training") or {}
    return best_epoch(inputs.metrics, waits_for_ramps=training.get("best_from") != "start")


def bold_columns(inputs: FigureInputs) -> NDArray[np.int64]:
    """Column [epoch] of the curve to follow, -1: none.

    The best member's; of a search the best state's ancestors', which were in other slots.
    """
    best = chosen_epoch(inputs)
    columns = np.full(len(inputs.metrics), 0 if best is None else best[1], dtype=np.int64)
    if not inputs.history:
        return columns
    history, ids = search_history(inputs.history, inputs.run), member_ids(inputs.metrics)
    epoch = np.array([int(row["epoch"]) for row in inputs.metrics])
    columns[:] = -1
    for generation, winner in zip(history.generations, history.winner, strict=True):
        spans = [row for row in inputs.history if row["generation"] == generation]
        first, last = spans[0].get("first_epoch"), spans[0].get("last_epoch")
        if winner >= 0 and first is not None and last is not None:
            slot = int(history.members[winner])
            shown = ids.index(slot) if slot in ids else -1
            columns[(epoch >= first) & (epoch <= last)] = shown
    return columns


def best_epoch(
    metrics: Sequence[Mapping[str, Any]], *, waits_for_ramps: bool = True
) -> tuple[int, int] | None:
    """Row and column of the best smoothed score; `None` if there is none.

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


def _draw_curves(
    panel: Axes,
    metrics: Sequence[Mapping[str, Any]],
    epoch: NDArray[np.float64],
    *,
    curves: tuple[Curve, ...],
    bold: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The values drawn [curve, epoch, member]."""
    drawn = []
    for key, name, colour, width in curves:
        values = term(metrics, key)
        others = np.array(values)
        if (bold == bold[0]).all():  # one member; a descent leaves its slots to others
            others = np.delete(values, max(bold[0], 0), axis=1)
        if others.size:
            n_at_once = np.median(np.isfinite(others).sum(axis=1))
            alpha = 0.45 if n_at_once < 10 else 0.25
            panel.plot(epoch, others, color=colour, linewidth=0.5, alpha=alpha)
        own = np.where(bold >= 0, values[np.arange(len(bold)), bold], np.nan)
        marker = "." if len(epoch) == 1 else ""
        panel.plot(epoch, own, color=colour, linewidth=width, label=name, marker=marker)
        drawn.append(values)
    return np.stack(drawn)


def _scale(
    panel: Axes, drawn: NDArray[np.float64], *, is_ramp: bool, is_log: bool, is_search: bool
) -> None:
    if is_ramp:
        panel.set_ylim(-0.03, 1.06)
    elif is_log and np.nanmin(drawn) > 0:
        panel.set_yscale("log")
    else:
        _limit(panel, drawn[:, drawn.shape[1] // 20 :], highest=0.98 if is_search else 1.0)


def _limit(panel: Axes, values: NDArray[np.float64], *, highest: float) -> None:
    """Keep the first epochs, often far above the rest, from setting the scale.

    `highest`: the quantile that does; of a search not the members that went astray either.
    """
    known = values[np.isfinite(values)]
    top = float(np.quantile(known, highest)) if known.size else 0.0
    if known.size and top > known.min():
        margin = 0.06 * (top - known.min())
        panel.set_ylim(known.min() - margin, top + margin)


def _mark_best(
    panel: Axes, inputs: FigureInputs, best: tuple[int, int] | None, *, n_curves: int
) -> None:
    """A line at the best epoch, and the legend of a panel with several curves."""
    handles, labels = panel.get_legend_handles_labels()
    if best is not None:
        ids, epoch = member_ids(inputs.metrics), inputs.metrics[best[0]]["epoch"]
        word = "slot" if inputs.history else "member"
        of_member = f", {word} {ids[best[1]]} of {len(ids)}" if len(ids) > 1 else ""
        line = panel.axvline(epoch, color="#333333", linewidth=0.9, linestyle=(0, (4, 3)))
        if n_curves == len(_SCORE):
            handles.append(line)
            labels.append(f"best epoch: {epoch:.0f}{of_member}")
    if n_curves > 1:
        panel.legend(handles, labels, loc="best")
