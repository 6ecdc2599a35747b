"""Figures by name. Nothing of a figure is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from lfads_torch.analysis.figures.base import FigureRecipe
from lfads_torch.errors import SettingsError
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


# Words by which people ask for a figure, or parts of them; difflib knows letters, not meanings.
_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "condit": "psth",
        "averag": "psth",
        "peth": "psth",
        "spike": "rates",
        "raster": "rates",
        "trajector": "factors_3d",
        "latent": "factors_3d",
        "truth": "rate_truth",
        "pulse": "inferred_inputs",
        "controller": "inferred_inputs",
        "loss": "loss_curves",
        "learning": "loss_curves",
    }
)


def figure_names() -> list[str]:
    """Every figure that can be asked for by name, those of installed plug-ins last."""
    return plugin_names(FIGURES, _ENTRY_POINTS)


def choose_figure(name: str) -> FigureRecipe:
    """The figure of this name, of an entry point, or of "package.module:Class"."""
    _require_no_other_name(name)
    chosen = load_plugin(
        name, FigureRecipe, what="figure", ours=FIGURES, entry_points=_ENTRY_POINTS
    )
    return chosen()


def _require_no_other_name(name: str) -> None:
    """Raise SettingsError, with the figure that is meant, for a word that stands for one."""
    if ":" in name or name in figure_names() or get_close_matches(name, FIGURES, n=1, cutoff=0.8):
        return
    meant = next((figure for word, figure in _OTHER_NAMES.items() if word in name.lower()), None)
    if meant is not None:
        raise SettingsError(
            f"figure: there is no {name!r}. Did you mean {meant!r}? Known are "
            f'{", ".join(figure_names())}, or name a class of your own as "package.module:Class".'
        )
