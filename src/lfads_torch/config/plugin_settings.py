"""The own settings of the plug-ins that a tree of settings names.

A plug-in's class names a dataclass of settings as its `settings_type`; its section then stands
beside ours, is checked like ours, and is stored and restored with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

from lfads_torch.config.tree import Settings, section_types
from lfads_torch.declare import PluginSettings, is_per_member, setting_fields
from lfads_torch.errors import SettingsError
from lfads_torch.plugins import load_plugin, plugin_places, unnamed_file

__all__ = [
    "SLOTS",
    "named_plugins",
    "plugin_settings",
    "refused_plugins",
    "sections_by_setting",
]


@dataclass(frozen=True)
class _Slot:
    """A setting that names classes. Places are "package.module:Name", imported when needed."""

    setting: str
    base: str
    ours: str
    entry_points: str

    def load(self, name: str) -> type[Any]:
        base: type[Any] = _at(self.base)
        return load_plugin(
            name, base, what=self.setting, ours=_at(self.ours), entry_points=self.entry_points
        )

    def is_strange(self, name: str) -> bool:
        """Whether a name is no name of ours; wrong names are told where they are used."""
        if ":" in name:
            return True
        section, _, key = self.setting.partition(".")
        if name in _names(self, getattr(getattr(Settings(), section), key)):
            return False  # the default; looking at what is installed takes time
        return name in plugin_places(self.entry_points) and name not in _at(self.ours)


SLOTS = (
    _Slot(
        "loss.observation",
        "lfads_torch.loss.observations.base:Observation",
        "lfads_torch.loss.observations.choose:OBSERVATIONS",
        "lfads_torch.observations",
    ),
    _Slot(
        "loss.unit_observation",
        "lfads_torch.loss.observations.base:Observation",
        "lfads_torch.loss.observations.choose:OBSERVATIONS",
        "lfads_torch.observations",
    ),
    *(
        _Slot(
            f"model.{name}",
            "lfads_torch.model.priors.base:Prior",
            "lfads_torch.model.priors.choose:PRIORS",
            "lfads_torch.priors",
        )
        for name in ("initial_condition_prior", "input_prior")
    ),
    _Slot(
        "model.generator",
        "lfads_torch.model.cells.base:GeneratorCell",
        "lfads_torch.model.part_places:CELLS",
        "lfads_torch.generators",
    ),
    *(
        _Slot(
            f"model.{name}",
            "lfads_torch.model.encoders.base:Encoder",
            "lfads_torch.model.part_places:ENCODERS",
            "lfads_torch.encoders",
        )
        for name in ("ic_encoder", "controller_encoder")
    ),
    _Slot(
        "model.read_out",
        "lfads_torch.model.read_outs.base:ReadOut",
        "lfads_torch.model.part_places:READ_OUTS",
        "lfads_torch.read_outs",
    ),
    _Slot(
        "augmentation.order",
        "lfads_torch.training.augment:Augmentation",
        "lfads_torch.training.augmentations:AUGMENTATIONS",
        "lfads_torch.augmentations",
    ),
    _Slot(
        "search.selection",
        "lfads_torch.search.select:SelectionRule",
        "lfads_torch.search.select:SELECTION_RULES",
        "lfads_torch.selection_rules",
    ),
    _Slot(
        "search.perturbation",
        "lfads_torch.search.perturb:PerturbationRule",
        "lfads_torch.search.perturb:PERTURBATION_RULES",
        "lfads_torch.perturbation_rules",
    ),
)


def named_plugins(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Setting and name of every part that is none of ours; nothing is imported."""
    return [(slot.setting, name) for slot, name in _strangers(values)]


def refused_plugins(values: Mapping[str, object], origins: Mapping[str, str]) -> list[str]:
    """Why classes that a file names must not be imported; empty where all may be.

    A file may come from anywhere, so it alone does not choose which file beside it is run.
    """
    return [
        f"{setting} ({origins.get(setting, 'settings')}) is {name!r}, found only as {file}, in the "
        "folder where the command was started. A file of settings alone does not run what lies "
        f"there; if you know it, add --plugin-path {os.path.dirname(file)} (or put that folder on "
        "PYTHONPATH)"
        for setting, name in named_plugins(values)
        if ":" in name and (file := unnamed_file(name)) is not None
    ]


def plugin_settings(
    values: Mapping[str, object],
) -> tuple[tuple[type[PluginSettings], ...], list[str]]:
    """The settings of all plug-ins that the values name, and what could not be loaded or used."""
    kinds: list[type[PluginSettings]] = []
    mistakes: list[str] = []
    for slot, name in _strangers(values):
        try:
            kind = getattr(slot.load(name), "settings_type", None)
        except SettingsError as error:
            mistakes.append(str(error).rstrip("."))
            continue
        wrong = None if kind is None else _mistake(kind, kinds) or _misplaced(kind, slot)
        if wrong is not None:
            mistakes.append(f"{slot.setting}: {name!r}: its settings_type {wrong}")
        elif kind is not None and kind not in kinds:
            kinds.append(kind)
    return tuple(kinds), list(dict.fromkeys(mistakes))


def sections_by_setting(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each setting that names a plug-in with settings of its own, and their section."""
    kinds = [
        (slot.setting, getattr(slot.load(name), "settings_type", None))
        for slot, name in _strangers(values)
    ]
    return [(setting, kind.section) for setting, kind in kinds if kind is not None]


def _strangers(values: Mapping[str, object]) -> Iterator[tuple[_Slot, str]]:
    """Every plug-in that the values name, with its slot."""
    for slot in SLOTS:
        section, _, key = slot.setting.partition(".")
        part = values.get(section)
        given = part.get(key) if isinstance(part, Mapping) else None
        for name in _names(slot, given) if isinstance(given, str) else ():
            if slot.is_strange(name):
                yield slot, name


def _names(slot: _Slot, given: str) -> list[str]:
    if slot.setting == "augmentation.order":
        parts = given.split(",")
    elif slot.setting == "loss.unit_observation":
        parts = [part.partition("=")[0] for part in given.split(";")]
    else:
        parts = [given]
    return [part.strip() for part in parts if part.strip()]


def _mistake(kind: object, others: list[type[PluginSettings]]) -> str | None:
    """Why a `settings_type` cannot be one."""
    if not (isinstance(kind, type) and issubclass(kind, PluginSettings) and is_dataclass(kind)):
        return (
            "is no record of settings; needed is a frozen dataclass derived from "
            "lfads_torch.declare.PluginSettings"
        )
    if not kind.section.isidentifier():
        return f"has the section {kind.section!r}; needed is a word, such as low_rank"
    if kind.section in section_types():
        return f"has the section {kind.section!r}, which is one of ours; needed is another word"
    if any(kind is not other and kind.section == other.section for other in others):
        return f"has the section {kind.section!r}, which another plug-in has too; rename one"
    return None


def _misplaced(kind: type[PluginSettings], slot: _Slot) -> str | None:
    """Why members cannot have numbers of their own there; None where nothing is wrong."""
    own = [part for part in setting_fields(kind) if is_per_member(part)]
    if not own:
        return None
    name, where = own[0].name, slot.setting.partition(".")[0]
    if get_type_hints(kind)[name] is not float:
        return f"declares {name} by member_setting(...), which is for a number; annotate it float"
    if where == "search":
        return (
            f"declares {name} by member_setting(...), but a rule of the search is one for all "
            "members; declare it by setting(...)"
        )
    if where == "loss":
        return (
            f"declares {name} by member_setting(...), but it would change the likelihood by which "
            "members are compared; declare it by setting(...)"
        )
    return None


def _at(place: str) -> Any:  # Any: a class, or names with their places
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
