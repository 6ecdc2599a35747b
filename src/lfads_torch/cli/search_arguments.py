"""Options that say how a population searches, and what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.space import SpaceChoice

__all__ = ["SearchArguments"]

_SEARCH = Group("The search", sort_key=3)


@Parameter(name="*", group=_SEARCH)
@dataclass(frozen=True, kw_only=True)
class SearchArguments:
    """Without any of them: AutoLFADS, 20 members over the published ranges."""

    population: Annotated[int | None, Parameter(help="members")] = None
    generations: Annotated[int | None, Parameter(help="generations at most")] = None
    generation_epochs: Annotated[int | None, Parameter(help="epochs of a generation")] = None
    method: Annotated[
        Literal["population", "explore_only", "random", "list"] | None,
        Parameter(
            help="population: losers copy winners; explore_only: nobody is copied; random: members "
            "keep what they drew; list: see --list"
        ),
    ] = None
    selection: Annotated[
        str | None,
        Parameter(
            help="who is copied: tournament, against_random, truncation, or a class of yours"
        ),
    ] = None
    start: Annotated[
        Literal["all", "halving"] | None,
        Parameter(help="halving: begin with more members, the best become the population"),
    ] = None
    space: Annotated[
        Path | None,
        Parameter(help="YAML file of what is searched, instead of the published ranges"),
    ] = None
    ranges: Annotated[
        tuple[str, ...],
        Parameter(
            name="--search",
            help="NAME=LOW..HIGH[,first=...][,weight=W][,limits=yes|no]: search a setting, or "
            "change its range; may be repeated",
        ),
    ] = ()
    keep: Annotated[
        tuple[str, ...],
        Parameter(help="setting that is not searched, its value holds; may be repeated"),
    ] = ()
    list_path: Annotated[
        Path | None,
        Parameter(name="--list", help="CSV or YAML: every member's hyperparameters, given"),
    ] = None
    shapes: Annotated[
        int | None,
        Parameter(
            help="groups of equal shape, each a random search of its own; settings that change "
            "shapes, such as model.generator_size, can then be given to --search"
        ),
    ] = None
    ensemble: Annotated[
        int | None,
        Parameter(help="average the rates of up to this many models, chosen on validation trials"),
    ] = None

    def settings(self) -> dict[str, tuple[str, object]]:
        """Dotted name -> option and value."""
        self._require_one_way()
        method = ("--list", "list") if self.list_path is not None else ("--method", self.method)
        return {
            "search.population": ("--population", self.population),
            "search.generations": ("--generations", self.generations),
            "search.generation_epochs": ("--generation-epochs", self.generation_epochs),
            "search.method": method,
            "search.selection": ("--selection", self.selection),
            "search.start": ("--start", self.start),
            "inference.ensemble": ("--ensemble", self.ensemble),
        }

    def choice(self) -> SpaceChoice:
        from lfads_torch.config.space import SpaceChoice

        return SpaceChoice(path=self.space, ranges=tuple(self.ranges), dropped=tuple(self.keep))

    def _require_one_way(self) -> None:
        """A list leaves nothing to be drawn, nor a choice of how many."""
        given = {
            "--method": self.method not in (None, "list"),
            "--population": self.population is not None,
            "--space": self.space is not None,
            "--search": bool(self.ranges),
            "--keep": bool(self.keep),
            "--start": self.start == "halving",
            "--shapes": self.shapes is not None,
        }
        against = [option for option, is_given in given.items() if is_given]
        if self.list_path is not None and against:
            raise SettingsError(
                f"--list {self.list_path} gives every member and its values; "
                f"{', '.join(against)} would choose them in another way. Keep one of them."
            )
