"""Checks what was asked to be searched, and makes ranges of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lfads_torch.config.declarations import Declaration, declarations
from lfads_torch.config.nearest import nearest_setting, nearest_word
from lfads_torch.config.space_text import DIVERGENCES, UNIT, AskedRange
from lfads_torch.config.tree import section_types
from lfads_torch.declare import OwnSettings
from lfads_torch.errors import SettingsError
from lfads_torch.search.space import MOVABLE, First, Range, changes_shapes, why_not

__all__ = [
    "declarations_with",
    "name_mistakes",
    "range_mistakes",
    "range_of",
    "space_error",
]

_KEYS = ("low", "high", "first", "weight", "keeps_limits", "unit")
_FIRSTS = ("uniform", "log_uniform")
_UNITS = (UNIT, "beta")
_MOST_TOLD = 8
_BIN_WIDTH = (
    "other bins are other data, and scores per entry of different bins cannot be compared. Bin the "
    "recording anew with `lfads prepare`, make a run of each, and compare what does not count "
    "entries, such as how well behaviour is decoded (`lfads evaluate`)"
)


def space_error(mistakes: list[str], what: str = "search space") -> SettingsError:
    """One error that tells all mistakes, or the first few of many."""
    if len(mistakes) == 1:
        return SettingsError(f"{what}: {mistakes[0]}" + ("" if mistakes[0][-1] == "?" else "."))
    told = [*mistakes[:_MOST_TOLD]]
    if len(mistakes) > len(told):
        told.append(f"and {len(mistakes) - len(told)} more")
    listed = "".join(f"\n  - {each}" for each in told)
    return SettingsError(f"{what}: {len(mistakes)} mistakes.{listed}")


def _of_plugin(name: str, sections: Iterable[str]) -> str:
    """What is to be known of names that may be a plug-in's: of sections like none there is."""
    section, dot, _ = name.partition(".")
    if not dot or nearest_word(section, sections):
        return ""
    return (
        "; a plug-in's settings are there where a setting names the plug-in (such as "
        "augmentation.order)"
    )


def name_mistakes(name: str, where: str, own: OwnSettings = OwnSettings()) -> list[str]:  # noqa: B008 - frozen
    """Why this setting cannot be searched; empty where it can. `own`: those of the plug-ins."""
    if name in MOVABLE or name in own.per_member():
        return []
    known = declarations_with(own)
    if "bin_width" in name:
        return [f"{name} ({where}) cannot be searched: {_BIN_WIDTH}"]
    if name not in known:
        of_plugin = _of_plugin(name, {each.section for each in known.values()})
        meant = None if of_plugin else nearest_setting(name, known)
        hint = f"; did you mean {meant}?" if meant else f"; {_listed(own)}"
        return [f"{name} ({where}) is no setting{hint}{of_plugin}"]
    if known[name].kind not in (int, float):
        listed = _listed(own)
        return [f"{name} ({where}) is not a number, and only numbers can be searched; {listed}"]
    if known[name].section not in section_types():
        return [
            f"{name} ({where}) cannot be searched: the plug-in declares it as one for all members, "
            "for it may change shapes. To try several values, give each a search of its own with "
            f"--set {name}=VALUE; what moves without changing shapes, its author declares by "
            "member_setting(...)"
        ]
    way_out = ""
    if changes_shapes(name) and known[name].kind is int:
        way_out = (
            f"; or let groups of equal shape draw it, in a random search: --method random --search "
            f"{name}=LOW..HIGH --shapes 4 (method and shapes of AutoLFADS)"
        )
    return [
        f"{name} ({where}) cannot be searched while members train: {why_not(name)}. To try several "
        f"values, give each a search of its own with --set {name}=VALUE (--method random, where "
        "the rest need not be tuned; settings and method in Python), and compare them with "
        f"`lfads compare`{way_out}"
    ]


def _listed(own: OwnSettings) -> str:
    return "what can be searched: " + ", ".join([*MOVABLE, *own.per_member()])


def declarations_with(own: OwnSettings) -> dict[str, Declaration]:
    """Ours, and those of the plug-ins whose settings these are."""
    return declarations(tuple(type(each) for each in own.records))


def range_mistakes(asked: AskedRange, declared: Declaration) -> list[str]:
    """What is wrong with a range of a setting that can be searched."""
    values, begin = asked.values, f"{asked.name} ({asked.where}): "
    strange = [key for key in values if key not in _KEYS]
    if strange:
        needed = ", ".join(_KEYS)
        return [f"{begin}{strange[0]} is no part of a range; needed are {needed}"]
    found = list(_limit_mistakes(values, declared))
    if not found:
        found = list(_rest_mistakes(asked, declared))
    return [begin + each for each in found]


def _limit_mistakes(values: Mapping[str, object], declared: Declaration) -> Iterable[str]:
    limits = []
    for key in ("low", "high"):
        limit = _number(values.get(key))
        if limit is None:
            yield f"{key} is {values.get(key, 'missing')}; needed is a number"
        elif declared.is_outside(limit):
            yield f"{key} is {limit:g}; the setting must be {declared.range}"
        else:
            limits.append(limit)
    if len(limits) == 2 and limits[0] >= limits[1]:
        yield f"the range {limits[0]:g}..{limits[1]:g} is empty; needed is low below high"


def _rest_mistakes(asked: AskedRange, declared: Declaration) -> Iterable[str]:
    values = asked.values
    if "first" in values:
        yield from _first_mistakes(values)
    if "weight" in values and ((weight := _number(values["weight"])) is None or weight <= 0.0):
        yield f"weight is {values['weight']}; needed is a number above 0"
    keeps = values.get("keeps_limits", True)
    if not isinstance(keeps, bool):
        yield f"keeps_limits is {keeps}; needed is true or false"
    elif not keeps and _has_limits(declared):
        yield f"its limits must hold, for the setting must be {declared.range}"
    elif not keeps and (low := _number(values["low"])) is not None and low < 0.0:
        yield f"its limits must hold, for low is {low:g}, and only values from 0 on can go freely"
    if "unit" in values and asked.name not in DIVERGENCES:
        yield f"only the weights of divergences have a unit, {' and '.join(DIVERGENCES)}"
    elif values.get("unit", _UNITS[0]) not in _UNITS:
        yield f"unit is {values['unit']}; needed is one of {', '.join(_UNITS)}"


def _has_limits(declared: Declaration) -> bool:
    """Whether a factor can bring a value out of the setting's range; none passes 0."""
    least = (each for each in (declared.at_least, declared.above) if each is not None)
    has_most = declared.at_most is not None or declared.below is not None
    return has_most or any(each > 0.0 for each in least)


def _first_mistakes(values: Mapping[str, object]) -> Iterable[str]:
    first, low, high = values["first"], _number(values["low"]), _number(values["high"])
    if isinstance(first, str):
        if first not in _FIRSTS:
            meant = nearest_word(first, _FIRSTS)
            hint = f"; did you mean {meant}?" if meant else ""
            yield f"first is {first!r}; needed is a number, {' or '.join(_FIRSTS)}{hint}"
        elif first == "log_uniform" and low is not None and low <= 0.0:
            yield f"first is log_uniform and low is {low:g}; needed is a low above 0, or uniform"
        return
    value = _number(first)
    if value is None:
        yield f"first is {first}; needed is a number, {' or '.join(_FIRSTS)}"
    elif value == 0.0:
        yield "first is 0, which no factor can change; needed is a number above 0"
    elif low is not None and high is not None and not low <= value <= high:
        yield f"first is {value:g}, outside {low:g}..{high:g}"


def range_of(asked: AskedRange, below: Range | None, *, unit: str, beta_of_one: float) -> Range:
    """The range of a request that has no mistakes, over the one that was there before.

    Divergences are converted from `unit` (or the request's own) to what enters the loss.
    """
    given = asked.values
    is_beta = asked.name in DIVERGENCES and given.get("unit", unit) == "beta"
    factor = 1.0 / beta_of_one if is_beta else 1.0
    scaled = {key: number * factor for key in ("low", "high", "first")
              if (number := _number(given.get(key))) is not None}  # fmt: skip
    low, high = scaled["low"], scaled["high"]
    found = below or Range(name=asked.name, low=low, high=high)
    weight, keeps = _number(given.get("weight")), given.get("keeps_limits")
    return replace(
        found,
        low=low,
        high=high,
        first=scaled.get("first", _first_word(given.get("first"), found.first, low=low, high=high)),
        weight=found.weight if weight is None else weight,
        keeps_limits=keeps if isinstance(keeps, bool) else found.keeps_limits,
    )


def _first_word(given: object, before: First, *, low: float, high: float) -> First:
    """How the first value is drawn; where nothing is said, as before if that is still possible."""
    if given == "uniform" or (low <= 0.0 and isinstance(before, str)):
        return "uniform"
    if given is None and not isinstance(before, str) and low <= before <= high:
        return before
    return "log_uniform" if low > 0.0 else "uniform"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
