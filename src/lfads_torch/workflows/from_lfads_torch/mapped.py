"""What became of options of lfads-torch: settings of ours, or a note on what happens instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lfads_torch.config.tree import SettingValue

__all__ = ["Fate", "Mapped"]


@dataclass(frozen=True)
class Fate:
    """One option: its dotted name and value, the settings it gives, and what is to be known."""

    option: str
    value: Any  # plain, as the configuration or checkpoint has it
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    note: str = ""  # never empty where there are no settings

    def line(self) -> str:
        """One line for people."""
        told = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        end = f"{told} ({self.note})" if told and self.note else told or self.note
        return f"{self.option}: {_short(self.value)} -> {end}"


@dataclass(frozen=True)
class Mapped:
    """The fates of all options, in the order of the configuration."""

    fates: tuple[Fate, ...] = ()

    @property
    def settings(self) -> dict[str, SettingValue]:
        """Dotted name -> value; what a later option says holds."""
        made: dict[str, SettingValue] = {}
        for fate in self.fates:
            made.update(fate.settings)
        return made

    @property
    def without_counterpart(self) -> tuple[Fate, ...]:
        return tuple(fate for fate in self.fates if not fate.settings)

    def and_more(self, fates: Iterable[Fate]) -> Mapped:
        return Mapped((*self.fates, *fates))


def _short(value: Any) -> str:
    text = "{...}" if isinstance(value, Mapping) and "_target_" not in value else str(value)
    if isinstance(value, Mapping) and "_target_" in value:
        text = str(value["_target_"]).rpartition(".")[2]
    return text if len(text) <= 60 else f"{text[:57]}..."
