"""A search space as people write it: ranges on the command line, and the file `space.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lfads_torch.config.yaml_text import read_mapping, read_scalar, scalar_text
from lfads_torch.search.space import Range, Space

__all__ = ["DIVERGENCES", "UNIT", "AskedRange", "asked_by_text", "asked_in_yaml", "space_to_yaml"]

DIVERGENCES = ("loss.kl_initial_condition_scale", "loss.kl_input_scale")
UNIT = "published"  # of the weights of divergences in a stored space

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_FORM = "NAME=LOW..HIGH[,first=...][,weight=W][,limits=yes|no]"
_EXAMPLE = "training.weight_decay=1e-6..1e-2,first=log_uniform"
_HEAD = (
    "# What this search moves. first: a number, uniform or log_uniform; weight: of the "
    "perturbation.\n"
)


@dataclass(frozen=True)
class AskedRange:
    """One range as it was written, not checked yet.

    `values` may hold low, high, first, weight, keeps_limits and unit; `where` is its place.
    """

    name: str
    values: Mapping[str, object]
    where: str


def asked_by_text(
    texts: Iterable[str], where: str = "--search"
) -> tuple[list[AskedRange], list[str]]:
    """The ranges of `--search`, or of another place, and what could not be read."""
    found: dict[str, AskedRange] = {}
    mistakes: list[str] = []
    for text in texts:
        name, equals, rest = text.partition("=")
        name, limits, *options = name.strip(), *rest.split(",")
        values, wrong = _limits(limits), _options(options)
        if not equals or not name or values is None:
            mistakes.append(f"{where} {text!r}: needed is {_FORM}, such as {_EXAMPLE}")
        elif isinstance(wrong, str):
            mistakes.append(f"{where} {text!r}: {wrong}; needed is {_FORM}")
        elif name in found:
            mistakes.append(f"{where} gives {name} twice; keep one")
        else:
            found[name] = AskedRange(name, {**values, **wrong}, where)
    return list(found.values()), mistakes


def _limits(text: str) -> dict[str, object] | None:
    match = re.fullmatch(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*", text, re.ASCII)
    return match and {"low": float(match[1]), "high": float(match[2])}


def _options(texts: Iterable[str]) -> dict[str, object] | str:
    """What follows the limits, or what is wrong there."""
    values: dict[str, object] = {}
    for text in texts:
        key, equals, written = (part.strip() for part in text.partition("="))
        if not equals or key not in ("first", "weight", "limits", "unit") or not written:
            return f"{text.strip()!r} is not first=, weight=, limits= or unit="
        if key == "limits" and written not in ("yes", "no"):
            return f"limits is {written!r}, not yes or no"
        name = "keeps_limits" if key == "limits" else key
        if name in values:
            return f"{key} is given twice"
        values[name] = written == "yes" if key == "limits" else read_scalar(written, key)
    return values


def asked_in_yaml(text: str, source: str) -> tuple[list[AskedRange], list[str]]:
    """The ranges of a space file, and what could not be read; text that is not YAML raises."""
    content = read_mapping(text, source)
    found: list[AskedRange] = []
    mistakes = [f"{source}: {each}" for each in content.mistakes]
    for name, values in content.values.items():
        where = f"{source}, line {content.lines[name]}"
        if isinstance(values, dict):
            found.append(AskedRange(name, values, where))
        else:
            mistakes.append(f"{name} ({where}) has no range; needed is {{low: ..., high: ...}}")
    return found, mistakes


def space_to_yaml(space: Space) -> str:
    """The space as a file, which reads back exactly; also for a search that moves nothing."""
    return _HEAD + ("".join(_entry(each) for each in space) or "{}\n")


def _entry(each: Range) -> str:
    values: dict[str, bool | float | str] = {
        "low": each.low,
        "high": each.high,
        "first": each.first,
        "weight": each.weight,
        "keeps_limits": each.keeps_limits,
    }
    if each.name in DIVERGENCES:
        # The file may serve a recording where the settings count them in another unit.
        values["unit"] = UNIT
    lines = [f"  {key}: {scalar_text(value)}" for key, value in values.items()]
    return "\n".join([f"{each.name}:", *lines]) + "\n"
