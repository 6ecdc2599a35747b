"""Reads settings: a preset, then a YAML file, then `section.key=value` on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfads_torch.config.layers import dotted_names, laid_over, nested
from lfads_torch.config.preset_choice import AUTO, preset_names, preset_values
from lfads_torch.config.small_text import small_text
from lfads_torch.config.tree import Settings
from lfads_torch.config.yaml_text import SettingsText, read_mapping, read_scalar
from lfads_torch.errors import SettingsError

__all__ = ["read_overrides", "read_settings"]

_PRESET = "run.preset"


def read_settings(
    yaml_path: Path | None = None, preset: str = AUTO, overrides: tuple[str, ...] = ()
) -> Settings:
    """The checked settings; a later source wins: defaults, preset, file, overrides.

    The preset is that of `run.preset` in the overrides, else the argument, else that of the file.
    With auto, `resolve` fills the preset in once the data are known. All mistakes of the file and
    of the overrides are told in one SettingsError; a file that is not YAML is told alone.
    """
    # pydantic is slow to import and is not needed before there is something to check.
    from lfads_torch.config.check import settings_from_values
    from lfads_torch.config.plugin_settings import refused_plugins

    file = SettingsText() if yaml_path is None else _read_file(Path(yaml_path))
    given, mistakes = _read_overrides(overrides)
    origins = {name: f"{yaml_path}, line {line}" for name, line in file.lines.items()}
    origins |= dict.fromkeys(given, "--set")
    if preset != AUTO and _PRESET not in given:
        given[_PRESET], origins[_PRESET] = preset, "--preset"
    if refused := refused_plugins(file.values, origins):
        raise SettingsError("\n".join(f"{each}." for each in refused))
    asked = laid_over(file.values, nested(given))
    return settings_from_values(
        laid_over(nested(_preset_layer(asked)), asked),
        chosen=dotted_names(asked),
        origins=origins,
        mistakes=[*(f"{yaml_path}: {each}" for each in file.mistakes), *mistakes],
    )


def _preset_layer(asked: Mapping[str, object]) -> dict[str, object]:
    """Values of the preset that was asked for; none where its name is wrong: the check says so."""
    run = asked.get("run")
    name = run.get("preset", AUTO) if isinstance(run, Mapping) else AUTO
    return preset_values(name) if isinstance(name, str) and name in preset_names() else {}


def read_overrides(overrides: tuple[str, ...], option: str) -> dict[str, Any]:  # YAML scalars
    """Dotted name -> value of each `section.key=value`; whose settings they are is not known yet.

    Raises SettingsError for what cannot be read, with the option that gave it.
    """
    given, mistakes = _read_overrides(overrides, option)
    if mistakes:
        raise SettingsError(f"{'; '.join(mistakes)}.")
    return given


def _read_overrides(
    overrides: tuple[str, ...], option: str = "--set"
) -> tuple[dict[str, object], list[str]]:
    """Dotted name -> value of each `section.key=value`, and what could not be read."""
    given: dict[str, object] = {}
    mistakes: list[str] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            mistakes.append(
                f"{option} {text!r}: needed is section.key=value, such as model.n_factors=20"
            )
            continue
        try:
            given[name.strip()] = read_scalar(value, f"{option} {text!r}")
        except SettingsError:
            mistakes.append(
                f"{option} {text!r}: the value cannot be read; needed is a number, true, false or "
                "a text, in quotes where it holds special characters"
            )
    return given, mistakes


def _read_file(path: Path) -> SettingsText:
    return read_mapping(small_text(path, what="a YAML file of settings"), str(path))
