"""Options that choose settings, and those that stand for a setting of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings

__all__ = ["SettingArguments"]

_GROUP = Group("Settings", sort_key=10)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class SettingArguments:
    """A preset, a file over it, and single settings over that."""

    settings: Annotated[Path | None, Parameter(help="YAML file of settings")] = None
    overrides: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="section.key=value; may be repeated"),
    ] = ()
    preset: Annotated[
        str,
        Parameter(
            help="auto (by the data), small, medium, large, demo or maze_peer: what the other "
            "settings start from"
        ),
    ] = "auto"

    def read(self, options: Mapping[str, tuple[str, object]] | None = None) -> Settings:
        """The checked settings. `options`: dotted name -> option that stands for it, its value.

        A value of None was not given; one given both ways is an error.
        """
        from lfads_torch.config.read import read_settings

        named = {text.partition("=")[0].strip() for text in self.overrides}
        given = []
        for name, (option, value) in (options or {}).items():
            if value is None:
                continue
            if name in named:
                raise SettingsError(
                    f"{name} is given twice, by {option} and by --set {name}; keep one."
                )
            given.append(f"{name}={value}")
        return read_settings(self.settings, self.preset, (*self.overrides, *given))

    @property
    def names_a_split(self) -> bool:
        """Whether `--set` says how to divide the trials."""
        return any(text.strip().startswith("split.") for text in self.overrides)
