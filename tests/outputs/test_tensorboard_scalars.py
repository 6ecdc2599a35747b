from __future__ import annotations

import sys

import pytest

from lfads_torch.errors import SettingsError
from lfads_torch.outputs.tensorboard import TensorBoardScalars


def test_rows_become_curves_per_member(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with TensorBoardScalars(tmp_path) as scalars:
        scalars.write({"epoch": 0, "step": 3, "loss": [2.0, 3.0], "ramp_kl": [0.5]})
        scalars.write({"epoch": 1, "step": 6, "loss": [1.0, None], "ramp_kl": [float("nan")]})
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/member_0", "loss/member_1", "ramp_kl"}

    def curve(tag):
        return [(event.step, event.value) for event in events.Scalars(tag)]

    assert curve("loss/member_0") == [(0, 2.0), (1, 1.0)]
    assert curve("loss/member_1") == [(0, 3.0)]
    assert curve("ramp_kl") == [(0, 0.5)]


def test_members_that_are_left_keep_their_ids(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with TensorBoardScalars(tmp_path) as scalars:
        scalars.write({"epoch": 0, "loss": [2.0, 3.0], "members": [3, 33]})
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/member_3", "loss/member_33"}


def test_without_tensorboard_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"pip install lfads-torch\[tensorboard\]"):
        TensorBoardScalars(tmp_path)
