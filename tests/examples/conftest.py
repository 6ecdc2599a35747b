"""The examples' folder, as --plugin-path or a script makes it importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Importable while a test runs, and forgotten after it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield EXAMPLES
    for name in ("low_rank_generator", "transformer_encoder"):
        sys.modules.pop(name, None)
