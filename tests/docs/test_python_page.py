"""The code of docs/python.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def blocks(text: str) -> list[tuple[int, str]]:
    """(line, code) of every Python block."""
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match.group(1)) for match in found]


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(code) >= 7
    names: dict[str, object] = {}
    for line, block in code:
        # Blank lines in front, so that a traceback names the line of the page.
        exec(compile("\n" * line + block, str(PAGE), "exec"), names)
    assert [path.name for path in tmp_path.iterdir()] == ["my_model"]
