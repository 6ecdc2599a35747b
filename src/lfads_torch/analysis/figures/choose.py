"""Figures by name. Nothing of a figure is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from lfads_torch.analysis.figures.base import FigureRecipe
from lfads_torch.errors import SettingsError

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
        "loss_curves": f"{_HERE}.loss_curves:LossCurves",
    }
)
_ENTRY_POINTS = "lfads_torch.figures"


def figure_names() -> list[str]:
    """Every figure that can be asked for by name, those of installed plug-ins last."""
    plugged = sorted(point.name for point in entry_points(group=_ENTRY_POINTS))
    return [*FIGURES, *(name for name in plugged if name not in FIGURES)]


def choose_figure(name: str) -> FigureRecipe:
    """The figure of this name, of an entry point, or of "package.module:Class"."""
    if name in FIGURES:
        return _load(FIGURES[name])
    if ":" in name:
        return _load(name)
    for point in entry_points(group=_ENTRY_POINTS, name=name):
        return _load(point.value)
    known = figure_names()
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise SettingsError(
        f"there is no figure {name!r}; the nearest is {near[0]!r}. Figures: {', '.join(known)}, "
        'or one of your own as "package.module:Class".'
    )


def _load(where: str) -> FigureRecipe:
    module_name, _, class_name = where.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"the figure {where!r} could not be loaded: {error}. It is needed as "
            '"package.module:Class", in a package that Python can import.'
        ) from error
    if not (isinstance(found, type) and issubclass(found, FigureRecipe)):
        raise SettingsError(
            f"{where!r} is not a figure: derive the class from "
            "lfads_torch.analysis.figures.base.FigureRecipe."
        )
    return found()
