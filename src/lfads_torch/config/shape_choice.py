"""Settings that change the shapes of tensors: what groups of equal shape draw, group by group.

A population is one tensor program of one shape, so these settings cannot move in it. A random
search can still try several: each group of members gets whole numbers of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.config.declarations import Declaration, declarations
from lfads_torch.config.space_check import space_error
from lfads_torch.config.space_text import AskedRange, asked_by_text
from lfads_torch.errors import SettingsError
from lfads_torch.search.space import changes_shapes

if TYPE_CHECKING:
    from lfads_torch.config.space import SpaceChoice

__all__ = ["ShapeRange", "draw_shapes", "part_shapes"]

_MOST_TRIES = 1000  # per shape, until it is none that was drawn before


@dataclass(frozen=True)
class ShapeRange:
    """Whole numbers from low to high, both among them, drawn uniformly in the logarithm."""

    name: str
    low: int
    high: int

    @property
    def n_values(self) -> int:
        return self.high - self.low + 1


def part_shapes(choice: SpaceChoice) -> tuple[SpaceChoice, tuple[ShapeRange, ...]]:
    """The choice without the ranges of settings that change shapes, and these.

    Raises SettingsError with all that is wrong with them, also where there are none.
    """
    known = declarations()
    shapes: list[str] = []
    rest: list[str] = []
    for text in choice.ranges:
        asked, _ = asked_by_text((text,))  # what cannot be read is told with the space
        is_shape = bool(asked) and _is_shape(asked[0].name, known)
        (shapes if is_shape else rest).append(text)
    found, mistakes = asked_by_text(shapes)
    found += [_with_numbers(each) for each in choice.asked if _is_shape(each.name, known)]
    for each in found:
        mistakes += _mistakes(each, known[each.name])
    if not found and not mistakes:
        mistakes = [
            "shapes (--shapes) asks for several, and no setting that changes shapes is searched; "
            "add "
            "one, such as --search model.generator_size=64..256 (in Python "
            'space={"model.generator_size": "64..256"}), or leave shapes out'
        ]
    if mistakes:
        raise space_error(mistakes)
    ranges = (ShapeRange(each.name, *_limits(each)) for each in found)
    others = tuple(each for each in choice.asked if not _is_shape(each.name, known))
    return replace(choice, ranges=tuple(rest), asked=others), tuple(ranges)


def draw_shapes(
    ranges: Sequence[ShapeRange], n_shapes: int, *, seed: int
) -> tuple[Mapping[str, int], ...]:
    """Different shapes, each a value for every name. Raises SettingsError where there are fewer."""
    n_there_are = math.prod(each.n_values for each in ranges)
    if n_shapes > n_there_are:
        raise SettingsError(
            f"shapes (--shapes) is {n_shapes}: the ranges hold only {n_there_are} different "
            "shapes. Ask for "
            "fewer, or widen a range."
        )
    random, found = np.random.default_rng(seed), dict[tuple[int, ...], None]()
    tries = _MOST_TRIES * n_shapes
    while len(found) < n_shapes and tries:
        found[tuple(_drawn(each, random.random()) for each in ranges)] = None
        tries -= 1
    if len(found) < n_shapes:
        raise SettingsError(
            f"shapes (--shapes) is {n_shapes}: only {len(found)} different shapes came in "
            f"{_MOST_TRIES} draws "
            "each. Ask for fewer, or widen a range."
        )
    names = [each.name for each in ranges]
    return tuple(dict(zip(names, values, strict=True)) for values in found)


def _is_shape(name: str, known: Mapping[str, Declaration]) -> bool:
    return name in known and known[name].kind is int and changes_shapes(name)


def _with_numbers(asked: AskedRange) -> AskedRange:
    """Whole numbers, as a mapping may hold them, in the form of those that are read from text."""
    values = {
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in asked.values.items()
    }
    return replace(asked, values=values)


def _drawn(each: ShapeRange, uniform: float) -> int:
    low, high = math.log(each.low), math.log(each.high + 1)
    return min(each.high, max(each.low, math.floor(math.exp(low + (high - low) * uniform))))


def _limits(asked: AskedRange) -> tuple[int, int]:
    low, high = asked.values["low"], asked.values["high"]
    if not isinstance(low, float) or not isinstance(high, float):
        raise TypeError(f"{asked.name}: limits of a text are numbers")
    return int(low), int(high)


def _mistakes(asked: AskedRange, declared: Declaration) -> list[str]:
    """What is wrong with a range of a setting that changes shapes."""
    begin, options = (
        f"{asked.name} ({asked.where}): ",
        sorted(asked.values.keys() - {"low", "high"}),
    )
    if options:
        return [
            f"{begin}its value is drawn once for each shape, uniformly in the logarithm; leave "
            f"{', '.join(options)} out"
        ]
    limits = [asked.values.get("low"), asked.values.get("high")]
    if not all(isinstance(each, float) and each.is_integer() for each in limits):
        return [f"{begin}needed are whole numbers, such as 64..256"]
    low, high = _limits(asked)
    if low < 1 or low >= high:
        return [f"{begin}the range is {low}..{high}; needed is a low of at least 1, below high"]
    if declared.is_outside(low) or declared.is_outside(high):
        return [f"{begin}the range is {low}..{high}; the setting must be {declared.range}"]
    return []
