"""What sessions left out were begun with: records of earlier versions still fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lfads_torch.config.tree import Settings
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.workflows.sessions.left_out_identity import begun_with


@pytest.mark.parametrize(("signals", "stored"), [((), False), (("emg=gamma",), True)])
def test_signals_are_stored_only_where_they_are_asked_for(signals, stored):
    request = SimpleNamespace(
        settings=Settings(), added_overrides=(), recordings=(),
        read_options=ReadOptions(signals=signals),
    )  # fmt: skip
    found = begun_with(request)
    assert ("signals" in found["read_options"]) is stored
    assert found["read_options"]["behaviour"] == []
