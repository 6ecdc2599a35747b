"""How well each session aligns with the components that all sessions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AlignmentFigure"]


class AlignmentFigure(FigureRecipe):
    """Variance explained of each session, and the correlation of each component."""

    name: ClassVar[str] = "alignment"
    title: ClassVar[str] = "Alignment of the sessions"
    caption: ClassVar[str] = (
        "Left: share of the shared components' variance that the encoded units of each session "
        "explain, by ridge regression, each fold of conditions predicted by the others; grey, the "
        "same with the session's conditions exchanged. Right: correlation of each component with "
        "its prediction, held out in the same way."
    )
    caveat: ClassVar[str] = (
        "It is of averages before training and says where read-ins began, not how well single "
        "trials are inferred. The components are of all sessions, each of these included."
    )
    is_of_sessions: ClassVar[bool] = True

    def needs(self, inputs: FigureInputs) -> str | None:
        if not inputs.alignment.get("sessions"):
            return "the run has no alignment.json: one recording, or read-ins drawn at random."
        return None

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        sessions = inputs.alignment["sessions"]
        figure = new_figure(1.6 + 0.35 * len(sessions))
        left, right = figure.subplots(1, 2)
        place = np.arange(len(sessions))
        left.barh(place, [each["variance_explained"] for each in sessions], color=PALETTE[0])
        shuffled = [each["variance_explained_shuffled"] for each in sessions]
        if None not in shuffled:
            left.barh(place, shuffled, height=0.3, color="0.6")
        left.set_yticks(place, [str(each["session"]) for each in sessions])
        left.invert_yaxis()
        left.set_xlabel("variance explained, held out")
        for n, each in enumerate(sessions):
            values = each["correlation"]
            colour = PALETTE[n % len(PALETTE)]
            right.plot(np.arange(1, len(values) + 1), values, marker="o", markersize=3,
                       color=colour, label=str(each["session"]))  # fmt: skip
        right.set_xlabel("component")
        right.set_ylabel("correlation, held out")
        right.legend(fontsize="x-small", frameon=False)
        return figure
