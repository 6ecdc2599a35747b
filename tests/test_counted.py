"""Numbers with their nouns, and the commonest lines that have them."""

from __future__ import annotations

import pytest

from lfads_torch.counted import counted


@pytest.mark.parametrize(("n", "text"), [(0, "0 units"), (1, "1 unit"), (33, "33 units")])
def test_singular_and_plural(n, text):
    assert counted(n, "unit") == text
