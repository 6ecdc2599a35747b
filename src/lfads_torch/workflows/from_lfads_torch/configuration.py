"""A Hydra configuration as one tree of plain values: groups put together, `${...}` replaced.

Only what configurations of lfads-torch use is understood: `defaults` lists of groups, `_self_`,
absolute and relative interpolations, and the resolver `relpath`. Nothing named in `_target_` is
imported, and no environment variable is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.from_lfads_torch.nested_yaml import read_nested_yaml

__all__ = ["Configuration", "class_name", "read_configuration"]

_INTERPOLATION = re.compile(r"\$\{([^${}]*)\}")
_MOST_REPLACEMENTS, _LONGEST_CHAIN = 2000, 20
_DEEPEST_GROUPS = 8
_DEEPEST_VALUES = 40


@dataclass(frozen=True)
class Configuration:
    """Plain values by section (`model`, `datamodule`, `trainer`, ...), and what was left out."""

    values: Mapping[str, Any]  # nested: text, numbers, lists and mappings
    notes: tuple[str, ...] = ()


def class_name(value: Any) -> str | None:
    """The last part of a section's `_target_`, such as `CoordinatedDropout`."""
    target = value.get("_target_") if isinstance(value, Mapping) else None
    return str(target).rpartition(".")[2] if target else None


def read_configuration(paths: Sequence[Path]) -> Configuration:
    """One configuration of several files; what a later one says holds.

    A file is either a whole configuration, with its groups in folders beside it, or that of one
    group (`configs/model/NAME.yaml`), known by its `_target_`.
    """
    notes: list[str] = []
    values: dict[str, Any] = {}
    for path in paths:
        read = _composed(Path(path), notes, 0)
        values = _merged(values, _in_section(read, Path(path)))
    return Configuration(_Resolver(values, notes).resolved(), tuple(notes))


def _in_section(values: dict[str, Any], path: Path) -> dict[str, Any]:
    name = class_name(values)
    if name is None:
        looks_like_model = "gen_dim" in values and "model" not in values
        return {"model": values} if looks_like_model else values
    if name == "LFADS":
        return {"model": values}
    if name.endswith("DataModule"):
        return {"datamodule": values}
    if name == "Trainer":
        return {"trainer": values}
    raise SettingsError(
        f"{path}: is the configuration of {values['_target_']}. Needed is that of a model "
        "(lfads_torch.model.LFADS), of a data module or of a trainer, or a whole one such as "
        "configs/single.yaml."
    )


def _composed(path: Path, notes: list[str], depth: int) -> dict[str, Any]:
    """A file with the groups of its `defaults`; its own values hold unless the list says so."""
    values = read_nested_yaml(path)
    listed = values.pop("defaults", None)
    if not isinstance(listed, list):
        return values
    if depth > _DEEPEST_GROUPS:
        raise SettingsError(f"{path}: its defaults name one another in a circle.")
    made: dict[str, Any] = {}
    has_self = any(entry == "_self_" for entry in listed)
    for entry in listed:
        part = values if entry == "_self_" else _group(entry, path, notes, depth)
        made = _merged(made, part)
    return made if has_self else _merged(made, values)


def _group(entry: Any, path: Path, notes: list[str], depth: int) -> dict[str, Any]:
    """The values of one entry of a `defaults` list, under the name of their group."""
    if isinstance(entry, str):
        return _composed(_beside(path, entry), notes, depth + 1)
    if not isinstance(entry, dict) or len(entry) != 1:
        notes.append(f"{path}: the entry {entry!r} of defaults is not understood and left out")
        return {}
    ((key, name),) = entry.items()
    key = key.removeprefix("optional ").removeprefix("override ").lstrip("/")
    if key.startswith("hydra/") or name is None:
        return {}  # how Hydra itself logs
    group, _, package = key.partition("@")
    found = _composed(_beside(path, f"{group}/{name}"), notes, depth + 1)
    for part in reversed((package or group.replace("/", ".")).split(".")):
        found = found if part in ("_global_", "_here_") else {part: found}
    return found


def _beside(path: Path, name: str) -> Path:
    file = path.parent / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not file.is_file():
        raise SettingsError(
            f"{path}: its defaults name {file}, which is not there. Give the configuration in the "
            "folder where its groups lie, or the files of the groups themselves."
        )
    return file


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            made[key] = _merged(under, value)
        else:
            made[key] = value
    return made


class _Resolver:
    """Replaces `${...}` by what it points to."""

    def __init__(self, root: dict[str, Any], notes: list[str]) -> None:
        self._root, self._notes, self._left = root, notes, _MOST_REPLACEMENTS

    def resolved(self) -> dict[str, Any]:
        made = self._value(self._root, ())
        assert isinstance(made, dict)
        return made

    def _value(self, value: Any, place: tuple[str, ...]) -> Any:
        if len(place) > _DEEPEST_VALUES:
            self._notes.append(f"{'.'.join(place[:3])}: refers to itself; it is left out")
            return None
        if isinstance(value, Mapping):
            return {key: self._value(each, (*place, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self._value(each, (*place, str(n))) for n, each in enumerate(value)]
        return self._text(value, place) if isinstance(value, str) else value

    def _text(self, text: str, place: tuple[str, ...]) -> Any:
        value: Any = text
        n_before = self._left
        while isinstance(value, str) and (found := _INTERPOLATION.search(value)):
            self._left -= 1
            if self._left < 0 or n_before - self._left > _LONGEST_CHAIN:
                self._notes.append(f"{'.'.join(place)}: {text!r} refers to itself; it is left out")
                return None
            replaced = self._pointed_at(found.group(1).strip(), place)
            if replaced is None:
                self._notes.append(f"{'.'.join(place)}: {text!r} points to nothing; it is left out")
                return None
            is_whole = found.group(0) == value
            value = replaced if is_whole else value.replace(found.group(0), str(replaced))
        return self._value(value, place) if not isinstance(value, str) else value

    def _pointed_at(self, name: str, place: tuple[str, ...]) -> Any:
        """What a name within braces stands for; None where there is nothing."""
        resolver, colon, argument = name.partition(":")
        if colon:
            return argument.strip() if resolver in ("relpath", "oc.create") else None
        n_dots = len(name) - len(name.lstrip("."))
        start = place[: max(len(place) - n_dots, 0)] if n_dots else ()
        value: Any = self._root
        for part in (*start, *filter(None, name.lstrip(".").split("."))):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value
