"""Trials of unequal length from a file, or from Python, to rates that end where they do."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from tiny_runs import tiny_settings

from lfads_torch.config.read import read_settings
from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.table import check_table
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.padding import padded_to, stack_trials
from lfads_torch.errors import DataError, SettingsError
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.evaluate import Protocol, evaluate_run
from lfads_torch.workflows.fit import Quiet, fit_run
from lfads_torch.workflows.fit_file import FitRequest, fit_file
from lfads_torch.workflows.infer_file import InferRequest, infer_file

N_TRIALS, N_UNITS = 31, 5


def trials(seed=0, n_trials=N_TRIALS, longest=17):
    rng = np.random.default_rng(seed)
    ends = rng.integers(6, longest + 1, n_trials)
    ends[0] = longest
    return [rng.poisson(0.6, (end, N_UNITS)).astype(np.uint8) for end in ends]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """With its page: no figure may stumble over what is beyond."""
    folder = tmp_path_factory.mktemp("unequal")
    recording = recording_from_arrays(
        trials(), bin_width_s=0.02, condition=np.arange(N_TRIALS) % 3,
        behaviour={"hand": padded_hand()},
    )  # fmt: skip
    write_recording(recording, folder / "trials.h5")
    settings = tiny_settings("model.ic_bins=2", "split.test_fraction=0.2")
    request = FitRequest(source=folder / "trials.h5", folder=folder / "run", settings=settings)
    return fit_file(request, Quiet())


def padded_hand():
    _, ends = stack_trials(trials())
    hand = np.random.default_rng(2).normal(size=(N_TRIALS, 17, 2))
    return np.where(np.arange(17)[None, :, None] < ends[:, None, None], hand, np.nan)


def test_rates_end_where_their_trial_does(run):
    _, ends = stack_trials(trials())
    with open_rates(run.rates_path) as rates:
        assert rates["n_trial_bins"].values.tolist() == (ends - 2).tolist()
        for name in ("rates", "rate_posterior_std", "factors", "inferred_input_mean"):
            known = np.isfinite(rates[name].values).all(axis=2)
            np.testing.assert_array_equal(known, np.arange(15) < (ends - 2)[:, None])
        assert np.isfinite(rates["initial_condition_mean"]).all()
    assert (run.path / "report.html").stat().st_size > 1000


def test_scores_count_what_is_there(run):
    scores = {each["name"]: each for each in run.read_scores()["scores"]}
    assert all(np.isfinite(s["value"]) for s in scores.values() if s["value"] is not None)
    assert scores["masked_bits_per_spike"]["value"] is not None
    everything = evaluate_run(run, which_set="all", protocol=Protocol(n_bootstrap=10))
    assert any(each.value is not None for each in everything.scores)
    card = json.loads((run.path / "model.json").read_text())
    assert card["shortest_trial_bins"] == 6


def test_shorter_recordings_are_padded_and_longer_ones_refused(run, tmp_path):
    short = recording_from_arrays(trials(1, 4, 11), bin_width_s=0.02)
    write_recording(short, tmp_path / "short.h5")
    infer_file(run, InferRequest(source=tmp_path / "short.h5"), tmp_path / "short.nc")
    with open_rates(tmp_path / "short.nc") as rates:
        known = np.isfinite(rates["rates"].values).all(axis=2).sum(axis=1)
        assert known.tolist() == (short.bins_of_trials - 2).tolist()
    long = recording_from_arrays(trials(1, 4, 18), bin_width_s=0.02)
    write_recording(long, tmp_path / "long.h5")
    with pytest.raises(DataError, match="trials have 18 bins; the model was trained on 17"):
        infer_file(run, InferRequest(source=tmp_path / "long.h5"), tmp_path / "long.nc")


def test_the_estimator_takes_a_list_of_trials():
    from lfads_torch import LFADS

    given = trials()
    settings = {
        "training.epochs": 2, "model.generator_size": 5, "model.ic_encoder_size": 4,
        "model.controller_encoder_size": 4, "model.controller_size": 4, "model.n_factors": 3,
        "inference.n_samples": 2,
    }  # fmt: skip
    model = LFADS(bin_width_s=0.02, settings=settings)
    rates = model.fit_transform(given)
    assert rates.shape == (N_TRIALS, 17, N_UNITS)
    for trial, found in zip(given, rates, strict=True):
        assert np.isfinite(found[: len(trial)]).all()
        assert np.isnan(found[len(trial) :]).all()


def test_the_check_says_how_long_trials_are_and_calls_nothing_beyond_missing():
    recording = recording_from_arrays(trials(), bin_width_s=0.02)
    report = check_recording(recording, CheckRequirements())
    assert report.summary.fraction_missing == 0.0
    assert report.summary.shortest_trial_bins == 6
    assert "missing_values" not in {finding.code for finding in report.findings}
    check_table(report)


def test_what_cannot_work_is_refused(tmp_path):
    recording = recording_from_arrays(trials(), bin_width_s=0.02)
    for override, message in (
        ("model.ic_bins=6", "the shortest trial has 6 bins"),
        ("split.n_forward_bins=2", "trials end at different bins"),
    ):
        with pytest.raises(SettingsError, match=message):
            fit_run(recording, read_settings(overrides=(override,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_files_of_others_may_say_where_trials_end(tmp_path):
    counts, ends = stack_trials(trials())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spikes"], file["n_trial_bins"], file.attrs["bin_width_s"] = counts, ends, 0.02
    np.testing.assert_array_equal(read_recording(tmp_path / "a.h5").n_trial_bins, ends)
    counts[0, -1], ends[0] = 0.0, 16
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["spikes"], file["n_trial_bins"], file.attrs["bin_width_s"] = counts, ends, 0.02
    with pytest.raises(DataError, match="trial 0 has 16 bins, but there are counts beyond its end"):
        read_recording(tmp_path / "b.h5")


def test_padding_keeps_what_is_there():
    recording = recording_from_arrays(
        np.ones((3, 5, 2), dtype=np.uint8), bin_width_s=0.01, behaviour={"hand": np.ones((3, 5, 1))}
    )
    longer = padded_to(recording, 8)
    assert longer.counts.shape == (3, 8, 2)
    assert longer.n_trial_bins.tolist() == [5, 5, 5]
    np.testing.assert_array_equal(longer.counts[:, :5], recording.counts)
    assert np.isnan(longer.behaviour["hand"][:, 5:]).all()
    with pytest.raises(DataError, match="two axes, bin and unit"):
        stack_trials([np.ones((3, 2)), np.ones((3, 4))])
