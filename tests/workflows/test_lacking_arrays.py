"""A run is applied to a file that lacks the behaviour and labels of its own recording."""

from __future__ import annotations

import numpy as np
import pytest
from run_cases import settings as tiny_settings

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.errors import FormatError
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.fit_file import FitRequest, fit_file
from lfads_torch.workflows.infer_file import read_for_run
from lfads_torch.workflows.lacking_arrays import lacking_note, without_lacking

COUNTS = np.random.default_rng(0).poisson(1.0, (9, 7, 3))
BEFORE = ReadOptions(bin_width_s=0.01, behaviour=("hand", "eye"), condition="side")


@pytest.fixture
def new(tmp_path):
    path = tmp_path / "new.npz"
    np.savez(path, spikes=COUNTS, eye=np.zeros((9, 7, 1)))
    return path


def test_what_is_not_there_is_left_out(new):
    found = without_lacking(new, BEFORE, None)
    assert (found.behaviour, found.condition) == (("eye",), None)


def test_what_is_asked_for_now_must_be_there(new):
    asked = ReadOptions(behaviour=("hand",), condition="side")
    assert without_lacking(new, BEFORE, asked) == BEFORE


def test_a_run_is_applied_to_it(new, tmp_path, monkeypatch):
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")
    own = tmp_path / "own.npz"
    np.savez(own, spikes=COUNTS, hand=np.ones((9, 7, 2)), side=np.arange(9) % 2)
    request = FitRequest(
        source=own,
        folder=tmp_path / "run",
        settings=tiny_settings("training.epochs=1"),
        read_options=ReadOptions(bin_width_s=0.01, behaviour=("hand",), condition="side"),
    )
    run = fit_file(request, Quiet())
    recording, is_new = read_for_run(run, new)
    assert is_new
    assert sorted(recording.behaviour) == ["eye"]  # all that fit, as of a file without names
    assert recording.condition is None
    assert "has no 'hand', 'side'" in lacking_note(run, new, None)
    assert lacking_note(run, own, None) is None
    with pytest.raises(FormatError, match="no array 'foot'"):
        read_for_run(run, new, ReadOptions(behaviour=("foot",)))
