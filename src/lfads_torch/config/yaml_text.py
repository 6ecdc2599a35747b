"""YAML as settings need it: safe, two levels deep, numbers as people write them, lines known.

PyYAML follows YAML 1.1, where `1e-3` is a text, `010` is eight and `no` is false. Here plain
scalars follow the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3): `1e-3` is a number,
`010` is ten, `no` is a text. Tags are refused and nothing but plain values is ever made.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field

import yaml

from lfads_torch.errors import SettingsError

__all__ = ["SettingsText", "plain_value", "read_mapping", "read_rows", "read_scalar", "scalar_text"]

_PLAIN_TAGS = ("bool", "int", "float", "null", "str", "timestamp", "value", "merge", "seq", "map")
# Two levels of `name: value` and nothing that could nest deeper.
_FLAT = re.compile(r"\s*(#.*)?|(  )?[A-Za-z_][\w.]*:( +([\w.\"']|[-+][\w.]).*)?", re.ASCII)
# libyaml takes tabs where Python does not, and cannot encode a half of a surrogate pair.
_NOT_FAST = re.compile(r"[\t\ud800-\udfff]")


@dataclass(frozen=True)
class SettingsText:
    """What a settings file says: section -> setting -> value, and the line of each dotted name."""

    values: dict[str, object] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)  # keys given twice, tags, keys not text


def read_mapping(text: str, source: str) -> SettingsText:
    """Read sections of settings; an empty text gives no values. A text that is not YAML raises."""
    root = _compose(text, source)
    result = SettingsText()
    if root is None or _is_empty(root):
        return result
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise SettingsError(
            f"{source} holds {found}; sections with settings are needed, such as\n"
            "model:\n  n_factors: 20"
        )
    for section, node in _entries(root, "", result):
        if isinstance(node, yaml.MappingNode):
            result.values[section] = {
                key: _value(child, f"{section}.{key}", result)
                for key, child in _entries(node, f"{section}.", result)
            }
        elif _is_empty(node):
            result.values[section] = {}  # a section whose settings are all commented out
        else:
            result.values[section] = _value(node, section, result)
    return result


def read_rows(text: str, source: str) -> tuple[list[dict[str, object]], list[str]]:
    """A list of mappings with plain values, and what is wrong in it."""
    root = _compose(text, source)
    if root is None or not isinstance(root, yaml.SequenceNode):
        return [], [f"{source} holds no list; needed is a list of `- name: value`"]
    result = SettingsText()
    rows: list[dict[str, object]] = []
    for node in root.value:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            result.mistakes.append(f"line {line} is not of the form `name: value`")
            continue
        rows.append({key: _value(child, key, result) for key, child in _entries(node, "", result)})
    return rows, [f"{source}: {each}" for each in result.mistakes]


def read_scalar(text: str, source: str) -> object:
    """The value of one YAML scalar: `8`, `1e-3`, `true`, `poisson`, `"8"`; empty is None."""
    result = SettingsText()
    node = _compose(text, source)
    value = None if node is None else _value(node, "value", result)
    if result.mistakes:
        raise SettingsError(f"{source}: {result.mistakes[0]}")
    return value


def scalar_text(value: bool | int | float | str) -> str:
    """A value as it is written in YAML, such that 1.1 and 1.2 readers agree on it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        digits, _, exponent = repr(value).partition("e")
        return f"{digits if '.' in digits else digits + '.0'}e{exponent}" if exponent else digits
    if isinstance(value, int):
        return str(value)
    looks_plain = re.fullmatch(r"[A-Za-z][\w.]*(:\w+)?", value, re.ASCII)
    other_type = value.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    if looks_plain and not other_type:
        return value
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=math.inf).strip()


def _compose(text: str, source: str) -> yaml.Node | None:
    if (flat := _composed_fast(text)) is not None:
        return flat
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        problem = error.problem or error.context or "it cannot be read"
        tab = "\\t" in problem or "'\t'" in problem
        advice = (
            "Indent with spaces: YAML allows no tabs there."
            if tab
            else "Needed is `setting: value`, indented below its `section:`."
        )
        raise SettingsError(f"{where}: this is not valid YAML ({problem}). {advice}") from error
    except yaml.YAMLError as error:  # characters that YAML does not allow
        raise SettingsError(
            f"{source} is not a text in YAML ({str(error).splitlines()[0]}). "
            "Needed is a plain text file of settings."
        ) from error
    except RecursionError as error:
        raise SettingsError(
            f"{source} is nested too deeply; needed are sections with settings, no deeper."
        ) from error


def _composed_fast(text: str) -> yaml.Node | None:
    """By libyaml, fifteen times as fast, where PyYAML has it; None: to be read by Python.

    Only what settings look like: libyaml's parser ends the process where a text nests deeply, and
    words its errors in another way.
    """
    if not yaml.__with_libyaml__ or _NOT_FAST.search(text):
        return None
    if not all(map(_FLAT.fullmatch, text.splitlines())):
        return None
    with suppress(yaml.YAMLError):
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
        return node
    return None


def _entries(
    node: yaml.MappingNode, prefix: str, result: SettingsText
) -> list[tuple[str, yaml.Node]]:
    """Key and node of each entry; a key given twice is a mistake, and its first value stays."""
    entries: dict[str, yaml.Node] = {}
    for key_node, child in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            result.mistakes.append(f"line {line}: a name is needed before the colon")
            continue
        key, name = key_node.value, prefix + key_node.value
        if key in entries:
            result.mistakes.append(
                f"{name} is given twice, in lines {result.lines[name]} and {line}; keep one"
            )
            continue
        entries[key] = child
        result.lines[name] = line
    return list(entries.items())


def _value(node: yaml.Node, name: str, result: SettingsText) -> object:
    if node.tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
        line = node.start_mark.line + 1
        result.mistakes.append(
            f"{name}, line {line}: tags such as {node.tag!r} are not read; write the plain value"
        )
        return None
    if isinstance(node, yaml.MappingNode):
        return {}
    if isinstance(node, yaml.SequenceNode):
        return []
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    return plain_value(node.value) if is_plain else node.value


def plain_value(text: str) -> object:
    """The value of a plain scalar, by the core schema of YAML 1.2."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if re.fullmatch(r"[-+]?\d[\d_]{0,99}", text, re.ASCII):
        return int(text.replace("_", ""))
    if re.fullmatch(r"[-+]?(\.\d+|\d[\d_]*(\.\d*)?)([eE][-+]?\d+)?", text, re.ASCII):
        return float(text.replace("_", ""))
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and plain_value(node.value) is None
