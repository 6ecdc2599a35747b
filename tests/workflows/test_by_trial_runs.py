"""Runs that read by trial, from their start to their scores: what may come between."""

from __future__ import annotations

from dataclasses import replace

import h5py
import pytest
from tiny_runs import rich_recording, tiny_settings

from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.finish import finish_run
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.fit_file import FitRequest, fit_file

BY_TRIAL = ("data.read_by=trial", "run.threads=1", "training.epochs=2")


@pytest.fixture(autouse=True)
def quick_page(monkeypatch):
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recording.h5"
    write_recording(rich_recording(), path)
    return path


def fit(path, folder, *overrides, more=(), observer=None):
    request = FitRequest(
        source=path,
        more_sources=more,
        folder=folder,
        settings=tiny_settings(*BY_TRIAL, *overrides),
    )
    return fit_file(request, observer or Quiet())


class Rewriting(Quiet):
    """Changes one count of the file after the first epoch."""

    def __init__(self, path):
        self.path = path

    def epoch(self, report, settings):
        with h5py.File(self.path, "r+") as file:
            file["counts"][4, 5, 2] = 7


def test_a_file_that_changes_during_a_fit_stops_it(path, tmp_path):
    with pytest.raises(DataError, match=r"recording\.h5: the file has changed"):
        fit(path, tmp_path / "run", observer=Rewriting(path))
    record = RunFolder.open(tmp_path / "run").read_record()
    assert record.status == "failed"
    assert "the file has changed" in record.reason


def test_rates_and_scores_are_of_no_other_recording(path, tmp_path):
    run = fit(path, tmp_path / "run")
    other = rich_recording()
    counts = other.counts.copy()
    counts[0, 0, 0] += 1
    before = run.rates_path.read_bytes()
    with pytest.raises(RunError, match=r"run: the recording tiny is not what the run was trained"):
        finish_run(run, recording=replace(other, counts=counts), anew=True)
    assert run.rates_path.read_bytes() == before
