"""The settings with which a model of a search was trained when it was best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.errors import RunError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.declared import Declaration
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["storable_values", "values_of_best", "values_of_member"]


def values_of_best(settings: Settings, search: Mapping[str, Any]) -> Settings:  # JSON values
    """With the values that a search's best model had at its best epoch; of a fit as they are."""
    return _with_values(settings, search.get("best", {}).get("hyperparameters", {}), search)


def values_of_member(run: RunFolder, settings: Settings, member: int) -> Settings:
    """With those of a model that a search kept; of a fit as they are. Raises RunError."""
    from lfads_torch.workflows.kept_models import every_model

    search = run.read_record().search
    if not search:
        return settings
    kept = {model.member: model.hyperparameters for model in every_model(run)}
    if member not in kept:
        raise RunError(f"{run.path}: there is no member {member}; there are {sorted(kept)}.")
    return _with_values(settings, kept[member], search)


def storable_values(settings: Settings, values: Mapping[str, float]) -> dict[str, float]:
    """Values that were trained with, as settings that pass the checks and give the same tensors.

    A float32 reads back as 0.10000000149 where 0.1 was meant: beyond the limit that it lies on.
    """
    from lfads_torch.config.declarations import declarations

    known = declarations(tuple(type(each) for each in settings.own.records))
    return {name: _storable(value, known.get(name)) for name, value in values.items()}


def _storable(value: float, declared: Declaration | None) -> float:
    """The shortest decimal of a float32, or the limit that gives the same float32."""
    single = np.float32(value)
    if float(single) != value:
        return value  # of a run in float64
    shortest = float(str(single))
    if declared is None or not declared.is_outside(shortest):
        return shortest
    limits = [
        declared.at_least, declared.at_most,
        None if declared.above is None else math.nextafter(declared.above, math.inf),
        None if declared.below is None else math.nextafter(declared.below, -math.inf),
    ]  # fmt: skip
    within = (each for each in limits if each is not None and np.float32(each) == single)
    return next((each for each in within if not declared.is_outside(each)), shortest)


def _with_values(
    settings: Settings, found: Mapping[str, float], search: Mapping[str, Any]
) -> Settings:
    from lfads_torch.config.check import replace_values

    values = storable_values(settings, found)
    own = settings.own.per_member()
    of_plugins = {name: value for name, value in values.items() if name in own}
    settings = replace_values(settings, of_plugins) if of_plugins else settings
    for name, value in values.items():
        section, _, key = name.partition(".")
        if name not in of_plugins and hasattr(settings, section):
            part = replace(getattr(settings, section), **{key: value})
            settings = replace(settings, **{section: part})
    if search:
        settings = replace(settings, loss=replace(settings.loss, kl_scale_unit="published"))
    return settings
