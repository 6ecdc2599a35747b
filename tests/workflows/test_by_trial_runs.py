"""Runs that read by trial, from their start to their scores: what may come between."""

from __future__ import annotations

import signal
from dataclasses import replace

import h5py
import numpy as np
import pytest
from run_cases import Watcher, differences
from session_cases import sessions
from tiny_runs import rich_recording, tiny_settings

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.data.formats import by_trial
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, FormatError, RunError
from lfads_torch.outputs.ensemble_file import read_ensemble
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows import sample
from lfads_torch.workflows.evaluate import evaluate_run, to_json
from lfads_torch.workflows.finish import finish_run, missing_results
from lfads_torch.workflows.fit import FitOptions, Quiet
from lfads_torch.workflows.fit_file import FitRequest, fit_file, go_on
from lfads_torch.workflows.infer_file import InferRequest, infer_file, read_as_before
from lfads_torch.workflows.report import figure_inputs
from lfads_torch.workflows.sessions.folder import read_recordings_of
from lfads_torch.workflows.stored import read_recording_of

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


@pytest.fixture
def two_paths(tmp_path):
    paths = [tmp_path / f"{each.session}.h5" for each in sessions()[:2]]
    for target, each in zip(paths, sessions(), strict=False):
        write_recording(each, target)
    return paths


class StoppedAfterTheFirstEpoch(Quiet):
    def epoch(self, report, settings):
        if report.epoch == 0:
            signal.raise_signal(signal.SIGTERM)


def test_sessions_read_by_trial_are_those_of_memory_and_resume_to_the_bit(two_paths, tmp_path):
    first, second = two_paths
    seeds = ("run.n_seeds=2", "training.checkpoint_interval_s=0", "inference.n_samples=2")
    memory = fit(first, tmp_path / "memory", "data.read_by=memory", *seeds, more=(second,))
    whole = fit(first, tmp_path / "whole", *seeds, more=(second,))
    folder, stop = tmp_path / "stopped", StoppedAfterTheFirstEpoch()
    stopped = fit(first, folder, *seeds, more=(second,), observer=stop)
    assert stopped.read_record().status == "interrupted"
    assert len(stopped.metrics.read()) == 1
    for each in read_recordings_of(stopped):
        assert each.in_file is not None
    resumed = go_on(stopped, options=FitOptions(), observer=Quiet())
    assert resumed.read_record().status == "finished"
    assert differences(resumed, whole) == []
    assert differences(memory, whole) == []
    for name in whole.read_record().sessions:
        rates = [run.path / "sessions" / name / "rates.nc" for run in (memory, whole, resumed)]
        with h5py.File(rates[0]) as one, h5py.File(rates[1]) as two, h5py.File(rates[2]) as three:
            for key in ("rates", "rate_posterior_std", "factors"):
                np.testing.assert_array_equal(two[key][()], one[key][()])
                np.testing.assert_array_equal(three[key][()], one[key][()])


def test_rates_and_scores_are_of_no_other_recording(path, tmp_path):
    run = fit(path, tmp_path / "run")
    other = rich_recording()
    counts = other.counts.copy()
    counts[0, 0, 0] += 1
    before = run.rates_path.read_bytes()
    with pytest.raises(RunError, match=r"run: the recording tiny is not what the run was trained"):
        finish_run(run, recording=replace(other, counts=counts), anew=True)
    assert run.rates_path.read_bytes() == before


def test_another_file_is_read_as_the_run_was(path, tmp_path):
    run = fit(path, tmp_path / "run", "run.memory_gb=4")
    asked = ReaderArguments(session="other").read_options()
    recording = read_as_before(run, path, asked)
    assert recording.session == "other"
    assert recording.in_file.reason == "data.read_by=trial"
    assert recording.in_file.most_bytes == 4e9
    assert read_as_before(run, path, ReadOptions(read_by="memory")).in_file is None
    run.write_record(replace(run.read_record(), read_options={"chop_s": 0.5, "chop_overlap_s": 0.2,
                                                              "bin_width_s": 0.05}))  # fmt: skip
    session = tmp_path / "session.npz"
    np.savez(session, counts=np.ones((40, 6), dtype=np.uint8))
    for options in (None, asked):
        assert read_as_before(run, session, options).chops.overlap_bins == 4
    assert read_as_before(run, session, ReadOptions(chop_s=0.4)).chops.overlap_bins == 0


def test_a_file_that_is_never_read_by_trial_is_inferred_and_evaluated(path, tmp_path):
    run = fit(path, tmp_path / "run")
    whole, other = rich_recording(seed=1), tmp_path / "other.npz"
    np.savez(other, counts=whole.counts, bin_width_s=0.01, unit_ids=whole.unit_ids)
    for options in (None, ReaderArguments().read_options()):
        request = InferRequest(source=other, read_options=options)
        assert infer_file(run, request, tmp_path / "other.nc").is_file()
    with pytest.raises(FormatError, match=r"data\.read_by=trial needs"):
        read_as_before(run, other, ReadOptions(read_by="trial"))
    copy = tmp_path / "copy.npz"  # the run's own, elsewhere and in another container
    own = rich_recording()
    np.savez(copy, **{name: getattr(own, name) for name in (
        "counts", "bin_width_s", "start_s", "unit_ids", "trial_ids")})  # fmt: skip
    with pytest.raises(RunError, match="the fingerprint differs"):  # read, and without behaviour
        read_recording_of(run, copy)


def test_an_ensemble_is_chosen_by_as_many_trials_as_fit(path, tmp_path, monkeypatch):
    monkeypatch.setattr(by_trial, "LEAST_BYTES", 0)
    monkeypatch.setattr(sample, "BYTES_OF_VALUE", 20_000 // (12 * 6) // 4)  # 4 of each set
    watcher = Watcher()
    run = fit(
        path, tmp_path / "run", "run.memory_gb=2e-5", "run.n_seeds=3", "inference.ensemble=3",
        observer=watcher,
    )  # fmt: skip
    assert missing_results(run) == ()
    chosen = read_ensemble(run.path / "ensemble.json")
    assert chosen.n_trials == 4
    assert any("on 4 of the 6 validation trials" in text for text in watcher.said)
    with open_rates(run.rates_path) as rates:
        averaged = np.atleast_1d(rates.attrs.get("ensemble_members", rates.attrs["member"]))
        assert averaged.tolist() == list(chosen.members)


def test_later_scores_are_of_the_same_trials_whatever_memory_is_free(path, tmp_path, monkeypatch):
    monkeypatch.setattr(by_trial, "LEAST_BYTES", 0)
    monkeypatch.setattr(by_trial, "allowed_bytes", lambda memory_gb: 20_000)
    monkeypatch.setattr(sample, "BYTES_OF_VALUE", 20_000 // (12 * 6) // 4)  # 4 of each set
    run = fit(path, tmp_path / "run")
    assert run.read_record().n_trials_at_once == 4
    stored = run.read_scores()
    assert any("scores are of 4 of the 6 trials" in note for note in stored["notes"])
    for allowed in (1e9, 15_000):
        monkeypatch.setattr(by_trial, "allowed_bytes", lambda memory_gb, now=allowed: now)
        assert to_json(evaluate_run(run, which_set="valid"))["scores"] == stored["scores"]
        with figure_inputs(run) as inputs:
            assert inputs.recording.n_trials == 4
    in_memory = replace(run.read_record(), read_options={"read_by": "memory"})
    run.write_record(in_memory)
    assert to_json(evaluate_run(run, which_set="valid"))["scores"] == stored["scores"]
    new = evaluate_run(run, which_set="all", recording=rich_recording(seed=1))
    assert len(new.trial_ids) == 30
