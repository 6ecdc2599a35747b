"""Figures by name. Nothing of a figure is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lfads_torch.analysis.figures.base import FigureRecipe
from lfads_torch.plugins import load_plugin, plugin_names

__all__ = ["FIGURES", "choose_figure", "figure_names"]

_HERE = "lfads_torch.analysis.figures"
FIGURES: Mapping[str, str] = MappingProxyType(  # in the order of the report
    {
        "rates": f"{_HERE}.rates:Rates",
        "single_trial_rates": f"{_HERE}.single_trial_rates:SingleTrialRates",
        "psth": f"{_HERE}.psth:Psth",
        "rate_truth": f"{_HERE}.rate_truth:RateTruth",
        "factors_3d": f"{_HERE}.factors_3d:Factors3D",
        "inferred_inputs": f"{_HERE}.inferred_inputs:InferredInputs",
        "initial_conditions": f"{_HERE}.initial_conditions:InitialConditions",
        "alignment": f"{_HERE}.alignment:AlignmentFigure",
        "search_progression": f"{_HERE}.search_progression:SearchProgression",
        "search_scores": f"{_HERE}.search_scores:SearchScores",
        "search_tree": f"{_HERE}.search_tree:SearchTree",
        "search_sensitivity": f"{_HERE}.search_sensitivity:SearchSensitivity",
        "loss_curves": f"{_HERE}.loss_curves:LossCurves",
    }
)
_ENTRY_POINTS = "lfads_torch.figures"


def figure_names() -> list[str]:
    """Every figure that can be asked for by name, those of installed plug-ins last."""
    return plugin_names(FIGURES, _ENTRY_POINTS)


def choose_figure(name: str) -> FigureRecipe:
    """The figure of this name, of an entry point, or of "package.module:Class"."""
    chosen = load_plugin(
        name, FigureRecipe, what="figure", ours=FIGURES, entry_points=_ENTRY_POINTS
    )
    return chosen()
