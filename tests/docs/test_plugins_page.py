"""docs/plugins.md: what its table names is there, and its contracts ask for what it says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from lfads_torch.config.declarations import declarations
from lfads_torch.config.plugin_settings import SLOTS

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
ROWS = [
    [re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`" in line
]


def at(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[5][0])
def test_a_row_is_true(row: list[list[str]]) -> None:
    _, _, (base,), methods, tested_by, (group,) = row
    contract = at(base)
    assert set(methods) == set(getattr(contract, "__abstractmethods__", ()))
    assert all(at(place).__name__.endswith("Contract") for place in tested_by)
    slots = [slot for slot in SLOTS if slot.base == base]
    assert all(slot.entry_points == group for slot in slots)


def test_every_setting_that_names_a_class_is_in_the_table() -> None:
    named = {name for row in ROWS for name in row[1] if name in declarations()}
    assert named == {slot.setting for slot in SLOTS}
