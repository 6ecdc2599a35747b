"""The reference page and the JSON schema tell of every setting."""

from __future__ import annotations

import json

from lfads_torch.config.declarations import declarations
from lfads_torch.config.schema import settings_reference, settings_schema
from lfads_torch.config.tree import section_types


def test_every_setting_stands_in_the_reference() -> None:
    page = settings_reference()
    for name, declared in declarations().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert declared.needed in row
        assert declared.help in row


def test_the_tables_of_the_reference_are_regular() -> None:
    tables = [block for block in settings_reference().split("\n\n") if block.startswith("|")]
    assert len(tables) == len(section_types()) + 1  # and the presets
    for table in tables:
        assert len({line.replace(r"\|", "").count("|") for line in table.splitlines()}) == 1


def test_the_presets_stand_side_by_side() -> None:
    page = settings_reference()
    assert "| setting | demo | large | maze_peer | medium | small |" in page
    assert "| `model.n_factors` | 8 | 100 |  |  | 20 |" in page


def test_the_schema_bounds_every_setting() -> None:
    schema = settings_schema()
    assert json.loads(json.dumps(schema)) == schema
    parts = {name: part["$ref"].split("/")[-1] for name, part in schema["properties"].items()}
    assert schema["additionalProperties"] is False
    for declared in declarations().values():
        part = schema["$defs"][parts[declared.section]]
        assert part["additionalProperties"] is False
        entry = part["properties"][declared.key]
        assert entry["description"] == declared.help
        assert entry["default"] == declared.default
        assert entry.get("minimum") == declared.at_least
        assert entry.get("exclusiveMinimum") == declared.above
        assert entry.get("maximum") == declared.at_most
        assert entry.get("exclusiveMaximum") == declared.below
        if len(declared.words) > 1:
            assert entry["enum"] == list(declared.words)
