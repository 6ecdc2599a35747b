"""docs/features.md: every implementation has rows, every row a test that exists, or a reason."""

from __future__ import annotations

import re
from pathlib import Path

from lfads_torch.cli.app import COMMANDS
from lfads_torch.config.declarations import declarations
from lfads_torch.config.tree import section_types

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")


def rows(n_cells: int) -> list[list[str]]:
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    return [cells for cells in found if len(cells) == n_cells and cells[0] not in ("feature",)]


def test_every_named_test_exists() -> None:
    named = re.findall(r"tests/[\w/]+\.py", PAGE)
    assert len(set(named)) > 60
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_feature_has_a_test_or_a_reason() -> None:
    for feature, who, here, covered in rows(4):
        is_absent = here.startswith(("not here", "not yet"))
        assert who, feature
        assert covered.startswith("tests/") or (is_absent and len(here) >= len("not yet")), feature
        if here.startswith("not here"):
            assert ":" in here or ";" in here, f"{feature}: why not?"


def test_every_implementation_has_rows() -> None:
    names = [name for name, _ in rows(2) if name != "short"]
    assert len(names) == 17
    others = " ".join(who for _, who, _, _ in rows(4)).replace("the line", "CD Cloud Deploy")
    assert [name for name in names if not re.search(rf"\b{name}\b", others)] == []


def test_settings_commands_and_files_that_are_named_exist() -> None:
    sections = "|".join(section_types())
    named = set(re.findall(rf"`((?:{sections})\.[a-z][a-z0-9_]+)", PAGE))
    assert len(named) > 35
    assert named - set(declarations()) == set()
    assert set(re.findall(r"`lfads ([\w-]+)", PAGE)) <= set(COMMANDS)
    for name in re.findall(r"`(examples/[\w.]+)`", PAGE):
        assert (ROOT / name).is_file()
