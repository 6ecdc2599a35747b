"""The contract of a figure: one idea, drawn from what a run leaves behind.

A new figure is a final subclass of `FigureRecipe` in a file of its own, named in `choose.py` or
given as "package.module:Class". It never sees a model, only the files of a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lfads_torch.data.recording import Recording
from lfads_torch.declare import PluginSettings
from lfads_torch.declared import GivenSettings, SettingValue, checked_values
from lfads_torch.errors import DataError, SettingsError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["FigureChoice", "FigureInputs", "FigureRecipe", "draw_figure"]

# The values below are JSON: the files of the run folder as read, which docs/formats.md describes.
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FigureInputs:
    """What a run left behind; what is missing is `None` or empty, and figures say so."""

    rates: xr.Dataset | None = None  # rates.nc, opened
    recording: Recording | None = None  # the recording that rates.nc was inferred from
    metrics: Sequence[Json] = ()  # metrics.jsonl, a mapping per epoch
    scores: Json = field(default_factory=dict)  # scores.json
    run: Json = field(default_factory=dict)  # run.json
    settings: Json = field(default_factory=dict)  # settings.yaml
    check: Json = field(default_factory=dict)  # check.json
    history: Sequence[Json] = ()  # history.csv of a search, a mapping per generation and member
    space: Json = field(default_factory=dict)  # space.yaml of a search
    alignment: Json = field(default_factory=dict)  # alignment.json, where there are read-ins


@dataclass(frozen=True, kw_only=True)
class FigureChoice:
    """Ids of the trials and units to show, as the user names them; empty: the figure chooses.

    `settings` are the figure's own by dotted name; `draw_figure` checks them.
    """

    trials: tuple[str | int, ...] = ()
    units: tuple[str | int, ...] = ()
    settings: Mapping[str, SettingValue] = field(default_factory=dict)

    @property
    def own(self) -> GivenSettings:
        """The figure's own settings: `choice.own.of(ItsSettings)`."""
        return GivenSettings(self.settings)


class FigureRecipe(ABC):
    """One figure: what it shows, what it cannot tell, what it needs, how it is drawn."""

    name: ClassVar[str]
    title: ClassVar[str]
    caption: ClassVar[str]  # what it shows
    caveat: ClassVar[str]  # what it cannot tell
    is_of_a_search: ClassVar[bool] = False  # then the page of another run passes over it
    is_of_sessions: ClassVar[bool] = False  # likewise, of a run without read-ins
    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @abstractmethod
    def needs(self, inputs: FigureInputs) -> str | None:
        """Why the figure cannot be drawn from these inputs, in a sentence; `None` if it can."""

    @abstractmethod
    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        """The figure; called only where `needs` gives `None`, and by `draw_figure` alone."""


def draw_figure(
    recipe: FigureRecipe, inputs: FigureInputs, choice: FigureChoice | None = None
) -> Figure:
    """Draw in the project's style, whatever the user's matplotlib settings are.

    Raises `DataError` with the figure's own reason where it cannot be drawn, `SettingsError` for
    settings that it has not.
    """
    from lfads_torch.analysis.figures.look import styled

    choice = choice or FigureChoice()
    values = checked_values(
        recipe, choice.settings, what=f"the figure {recipe.name!r}", error=SettingsError
    )
    reason = recipe.needs(inputs)
    if reason is not None:
        raise DataError(f"figure {recipe.name!r} cannot be drawn: {reason}")
    with styled():
        return recipe.draw(inputs, replace(choice, settings=values))
