"""Numbers of plug-ins beside the weights of a warm start: what the weights were trained with.

A part of the model whose plug-in declares a `member_setting` is half taken without its number. It
comes along unless the user gave one or a search draws it; what stays behind is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.training.warm_start import Taken
    from lfads_torch.workflows.fit import FitOptions

__all__ = ["Numbers", "numbers_along"]

_WEIGHTS = {"read_out": "readout"}  # settings of the model whose weights have another name


@dataclass(frozen=True)
class Numbers:
    """By dotted name, as they were there."""

    taken: Mapping[str, float] = field(default_factory=dict)
    left: Mapping[str, float] = field(default_factory=dict)  # others hold here: given or searched


def numbers_along(
    taken: Taken, parts: Collection[str], settings: Settings, options: FitOptions
) -> tuple[Settings, Numbers]:
    """The settings to begin with, and which numbers they have from the old model.

    `parts` are those asked for, none: all. Numbers of augmentations begin anew, as ours do.
    """
    from lfads_torch.config.check import replace_values
    from lfads_torch.workflows.searched_values import storable_values

    here = settings.own.per_member()
    there = storable_values(settings, {n: v for n, v in taken.numbers.items() if n in here})
    sections = _sections_taken(taken, parts, settings) if there else frozenset()
    differing = {
        name: value
        for name, value in there.items()
        if name.partition(".")[0] in sections and np.float32(value) != np.float32(here[name])
    }
    fixed = settings.chosen | (_drawn(options) if differing else frozenset())
    along = {name: value for name, value in differing.items() if name not in fixed}
    left = {name: value for name, value in differing.items() if name in fixed}
    return (replace_values(settings, along) if along else settings), Numbers(along, left)


def _sections_taken(taken: Taken, parts: Collection[str], settings: Settings) -> frozenset[str]:
    """Of the model's plug-ins those whose part is taken; one without weights with all parts."""
    from lfads_torch.config.plugin_settings import sections_by_setting
    from lfads_torch.config.tree import to_dict

    found = set()
    for setting, section in sections_by_setting(to_dict(settings)):
        where, _, part = setting.partition(".")
        begin = f"{_WEIGHTS.get(part, part)}."
        is_taken = not parts or any(name.startswith(begin) for name in taken.weights)
        if where == "model" and is_taken:
            found.add(section)
    return frozenset(found)


def _drawn(options: FitOptions) -> frozenset[str]:
    """What a search gives every member anew."""
    from lfads_torch.config.space import space_from_yaml
    from lfads_torch.outputs.run_folder import SPACE

    text = options.texts.get(SPACE)
    space = () if text is None else space_from_yaml(text, SPACE)
    listed = (name for each in options.search.get("values", ()) for name in each)
    return frozenset([*(each.name for each in space), *listed])
