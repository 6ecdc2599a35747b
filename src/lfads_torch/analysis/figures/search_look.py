"""What the figures of a search share: names of hyperparameters, scales, the axis of generations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.analysis.figures.look import condition_colours
from lfads_torch.analysis.search_history import SearchHistory, is_search, search_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "WINNER_COLOUR",
    "founder_colours",
    "generation_axis",
    "history_of",
    "is_logarithmic",
    "label_of",
    "limits_of",
    "why_not_drawn",
]

WINNER_COLOUR = "#D55E00"
_SHORT: Mapping[str, str] = {
    "l2": "L2",
    "kl": "KL",
    "scale": "",
    "rate": "",
}
_WORDS: Mapping[str, str] = {"training.learning_rate": "learning rate"}


def why_not_drawn(inputs: FigureInputs) -> str | None:
    """The reason for a run that is no search, or has no generation yet; else `None`."""
    if not is_search(inputs.run, inputs.history):
        return "The run is no search, so there is no population to show: `lfads search` makes one."
    if not inputs.history:
        return "The search has no history.csv: no generation has ended yet, or the file is gone."
    return None


def history_of(inputs: FigureInputs) -> SearchHistory:
    """The rows of history.csv as arrays."""
    return search_history(inputs.history, inputs.run)


def label_of(name: str) -> str:
    """A searched setting in words: `loss.kl_input_scale` is "KL input"."""
    if name in _WORDS:
        return _WORDS[name]
    words = [_SHORT.get(word, word) for word in name.rpartition(".")[2].split("_")]
    return " ".join(word for word in words if word)


def limits_of(space: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Low and high of a searched setting, where the run has its space."""
    entry = space.get(name)
    if not isinstance(entry, Mapping):
        return None
    low, high = entry.get("low"), entry.get("high")
    numbers = [each for each in (low, high) if isinstance(each, (int, float))]
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None


def is_logarithmic(
    space: Mapping[str, Any], name: str, values: Sequence[float] | NDArray[np.float64]
) -> bool:
    """Whether a searched setting is read by ratios: its range, or its values, span decades."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if known.size and known.min() <= 0:
        return False
    limits = limits_of(space, name)
    if limits is None:
        return bool(known.size) and known.max() >= 10 * known.min()
    first = space[name].get("first")
    return limits[0] > 0 and (first == "log_uniform" or limits[1] >= 100 * limits[0])


def generation_axis(panel: Axes, history: SearchHistory, *, has_label: bool = True) -> None:
    """Limits, whole numbers, and the rounds of halving shaded."""
    from matplotlib.ticker import MaxNLocator

    first, last = int(history.generations[0]), int(history.generations[-1])
    panel.set_xlim(first - 0.5, last + 0.5)
    panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if first < 0:
        panel.axvspan(first - 0.5, -0.5, color="#6B4FA0", alpha=0.08, linewidth=0, zorder=0)
    panel.set_xlabel("generation" if has_label else "")


def founder_colours(founders: Sequence[int]) -> dict[int, Any]:
    """A colour per surviving line, the largest first; `Any`: a colour of matplotlib."""
    return dict(zip(founders, condition_colours([str(each) for each in founders]), strict=True))
