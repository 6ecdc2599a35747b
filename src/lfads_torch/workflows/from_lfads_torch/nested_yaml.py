"""YAML of any depth as plain values; nothing but mappings, lists, texts and numbers is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lfads_torch.config.small_text import small_text
from lfads_torch.config.yaml_text import plain_value
from lfads_torch.errors import SettingsError

__all__ = ["read_nested_yaml"]

_MOST_VALUES = 20_000


def read_nested_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds. Tags are refused, numbers read as in YAML 1.2 (`1e-3`)."""
    text = small_text(path, what="a YAML configuration of lfads-torch")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = {} if root is None else _Reader(path).value(root, 0)
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise SettingsError(
            f"{path}: this is not valid YAML ({first}). Needed is a configuration of lfads-torch."
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(
            f"{path}: holds no mapping; needed is a configuration of lfads-torch, such as "
            "configs/single.yaml or configs/model/NAME.yaml."
        )
    return values


class _Reader:
    """Makes plain values of nodes, and no more than a configuration can have."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, _MOST_VALUES

    def value(self, node: yaml.Node, depth: int) -> Any:
        # Aliases of aliases can stand for more values than any memory holds.
        self._left -= 1
        if self._left < 0 or depth > 50:
            raise SettingsError(f"{self._path}: has too many values, or nests them too deeply.")
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise SettingsError(
                f"{self._path}, line {node.start_mark.line + 1}: tags such as {node.tag!r} are not "
                "read; write the plain value."
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, depth + 1) for child in node.value]
        is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return plain_value(node.value) if is_plain else node.value

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        made = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise SettingsError(
                    f"{self._path}, line {key.start_mark.line + 1}: a name is needed before the "
                    "colon."
                )
            made[str(key.value)] = self.value(child, depth + 1)
        return made
