"""From the arguments of the Python estimator to checked settings, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings, SettingValue

__all__ = ["RunArguments", "arguments_of", "settings_from"]


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """The settings of the section `run` that are arguments of their own, unchecked."""

    preset: object
    seed: object
    n_seeds: object
    device: object
    threads: object


def settings_from(arguments: RunArguments, values: Mapping[str, object] | None) -> Settings:
    """The preset's settings with these values (dotted names, or sections of names) over them.

    Raises SettingsError with every mistake at once.
    """
    from lfads_torch.config.check import settings_from_values
    from lfads_torch.config.layers import dotted_names, laid_over, nested
    from lfads_torch.config.preset_choice import preset_names, preset_values

    given = _sections(values)
    run = {name: value for name, value in vars(arguments).items()}
    asked = laid_over(given, {"run": run})
    name = arguments.preset
    is_known = isinstance(name, str) and name in preset_names()
    below = nested(preset_values(str(name))) if is_known else {}
    return settings_from_values(
        laid_over(below, asked),
        chosen=dotted_names(asked),
        origins={f"run.{name}": f"LFADS({name}=...)" for name in run}
        | dict.fromkeys(dotted_names(given), "LFADS(settings=...)"),
    )


def arguments_of(settings: Settings) -> tuple[RunArguments, dict[str, SettingValue]]:
    """The arguments that give these settings again, each named, whatever a preset becomes."""
    from lfads_torch.config.tree import flatten

    values = flatten(settings)
    run = {name: values.pop(f"run.{name}") for name in RunArguments.__annotations__}
    return RunArguments(**run), values


def _sections(values: Mapping[str, object] | None) -> dict[str, object]:
    from lfads_torch.config.layers import dotted_names, nested

    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise SettingsError(
            f"LFADS(settings=...) is {values!r}; a mapping of dotted names to values is needed, "
            'such as {"model.n_factors": 8}.'
        )
    sections = nested(values)
    for name in RunArguments.__annotations__:
        if f"run.{name}" in dotted_names(sections):
            raise SettingsError(
                f"LFADS(settings=...) gives run.{name}, which is an argument of its own: write "
                f"LFADS({name}=...) instead, so that it is said once."
            )
    return sections
