"""From the arguments of the Python estimators to checked settings, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings, SettingValue

__all__ = ["arguments_of", "settings_from"]


def settings_from(
    estimator: str, arguments: Mapping[str, object], values: Mapping[str, object] | None
) -> Settings:
    """The preset's settings with these arguments and values over them.

    `arguments` are the settings, by dotted name, that are arguments of their own in the class
    `estimator`; `values` its argument `settings` (dotted names, or sections of names). Raises
    SettingsError with every mistake at once.
    """
    from lfads_torch.config.check import settings_from_values
    from lfads_torch.config.layers import dotted_names, laid_over, nested
    from lfads_torch.config.preset_choice import preset_names, preset_values

    given = _sections(estimator, arguments, values)
    asked = laid_over(given, nested(arguments))
    preset = arguments["run.preset"]
    is_known = isinstance(preset, str) and preset in preset_names()
    below = nested(preset_values(str(preset))) if is_known else {}
    return settings_from_values(
        laid_over(below, asked),
        chosen=dotted_names(asked),
        origins={name: f"{estimator}({_argument(name)}=...)" for name in arguments}
        | dict.fromkeys(dotted_names(given), f"{estimator}(settings=...)"),
    )


def arguments_of(
    settings: Settings, names: Collection[str]
) -> tuple[dict[str, Any], dict[str, SettingValue]]:  # arguments of several types
    """The arguments that give the settings `names` again, and all others by dotted name.

    Each is named, whatever a preset becomes.
    """
    from lfads_torch.config.tree import flatten

    values = flatten(settings)
    return {_argument(name): values.pop(name) for name in names}, values


def _place_of(value: object) -> object:
    """A plug-in's class, given itself, by the name under which settings store it."""
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else value


def _argument(name: str) -> str:
    return name.rpartition(".")[2]


def _sections(
    estimator: str, arguments: Mapping[str, object], values: Mapping[str, object] | None
) -> dict[str, object]:
    from lfads_torch.config.layers import dotted_names, nested

    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise SettingsError(
            f"{estimator}(settings=...) is {values!r}; a mapping of dotted names to values is "
            'needed, such as {"model.n_factors": 8}.'
        )
    sections = nested({name: _place_of(value) for name, value in values.items()})
    for name in arguments:
        if name in dotted_names(sections):
            raise SettingsError(
                f"{estimator}(settings=...) gives {name}, which is an argument of its own: write "
                f"{estimator}({_argument(name)}=...) instead, so that it is said once."
            )
    return sections
