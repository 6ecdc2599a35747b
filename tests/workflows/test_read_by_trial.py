"""A fit whose counts stay in the file gives bit for bit what one in memory gives."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import rich_recording, tiny_settings, with_rates

from lfads_torch.data.formats import by_trial
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError
from lfads_torch.workflows import evaluate, sample
from lfads_torch.workflows.check_file import check_file
from lfads_torch.workflows.fit import FitOptions, Quiet, fit_run
from lfads_torch.workflows.fit_file import FitRequest, fit_file, train_file
from lfads_torch.workflows.report import figure_inputs
from lfads_torch.workflows.stored import read_recording_of


class Log(Quiet):
    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recording.h5"
    recording = rich_recording()
    counts = recording.counts.copy()
    ends = np.full(30, 12)
    ends[[3, 8]] = 10, 7
    for trial in (3, 8):
        counts[trial, ends[trial] :] = np.nan
    write_recording(replace(recording, counts=counts, n_trial_bins=ends), path)
    return path


def fit(path, folder, read_by, *overrides):
    options = ReadOptions(read_by=read_by)
    settings = tiny_settings("run.threads=1", "training.epochs=2", *overrides)
    return fit_run(
        read_recording(path, options=options), settings, folder,
        options=FitOptions(data_path=path, read_options=options),
    )  # fmt: skip


def weights(run):
    return {**load_file(run.best_checkpoint_path), **load_file(run.last_checkpoint_path)}


def require_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first)


@pytest.mark.parametrize(
    "overrides",
    [
        ("run.n_seeds=3", "augmentation.sample_validation_rate=0.2", "loss.observation=gaussian"),
        ("augmentation.order=temporal_shift, coordinated_dropout",
         "augmentation.temporal_shift_rate=0.5", "split.test_fraction=0.2"),
    ],
    ids=["members", "moved"],
)  # fmt: skip
def test_weights_are_bitwise_those_of_memory(path, tmp_path, overrides):
    runs = [fit(path, tmp_path / name / "run", name, *overrides) for name in ("memory", "trial")]
    first, second = (weights(run) for run in runs)
    require_equal(first, second)
    first, second = (run.read_check() for run in runs)
    assert first["findings"] == second["findings"]


def test_rates_and_scores_are_bitwise_those_of_memory(path, tmp_path):
    found = []
    for name in ("memory", "trial"):
        run = with_rates(fit(path, tmp_path / name / "run", name))
        assert (read_recording_of(run).in_file is not None) == (name == "trial")
        with h5py.File(run.rates_path) as file:
            values = [file[key][()] for key in ("rates", "rate_posterior_std", "factors")]
        run.rates_path.unlink()  # scores infer their trials anew
        scored = evaluate.evaluate_run(
            run, which_set="valid", protocol=evaluate.Protocol(n_bootstrap=0, n_masks=2)
        )
        found.append((np.concatenate(values, 2), repr(scored.scores), weights(run)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    require_equal(found[0][2], found[1][2])


def test_scores_and_figures_are_of_as_many_trials_as_fit(path, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "BYTES_OF_VALUE", 1_000_000 // (12 * 6) // 4)  # 4 of each set
    monkeypatch.setattr(by_trial, "LEAST_BYTES", 0)
    monkeypatch.setattr(evaluate, "_scores", lambda case: [])
    run = with_rates(fit(path, tmp_path / "run", "trial"))
    options = ReadOptions(read_by="trial", memory_gb=0.001)
    run.write_record(
        replace(run.read_record(), read_options=vars(options), n_trials_at_once=0)  # of old runs
    )
    found = evaluate.evaluate_run(run, which_set="valid")
    assert len(found.trial_ids) == 4
    assert any("scores are of 4 of the 6 trials" in note for note in found.notes)
    with figure_inputs(run, shown=("103",)) as inputs:
        ids = inputs.recording.trial_ids
        assert inputs.recording.in_file is None
        assert ids.tolist() == [100, 103, 130, 157, 187]
        np.testing.assert_array_equal(inputs.rates["trial_id"].values, ids)


def test_what_needs_all_trials_together_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(by_trial, "LEAST_BYTES", 0)
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    for target, session in ((one, "a"), (two, "b")):
        write_recording(replace(rich_recording(), session=session), target)
    settings = tiny_settings("data.read_by=trial", "run.memory_gb=1e-5")
    request = FitRequest(
        source=one, more_sources=(two,), folder=tmp_path / "run", settings=settings
    )
    with pytest.raises(DataError, match=r"trials in memory at once.*data\.read_by=memory"):
        fit_file(request, Log())


def test_check_and_fit_say_how_the_file_is_read(path, tmp_path):
    settings = tiny_settings("run.memory_gb=1e-5")
    checked = check_file(path, settings)
    assert any("read from the file by trial: whole they would" in note for note in checked.notes)
    log, request = Log(), FitRequest(source=path, folder=tmp_path / "run", settings=settings)
    given = []

    def train(recordings, options):
        given.extend([recordings, options])
        raise DataError("far enough")

    with pytest.raises(DataError, match="far enough"):
        train_file(request, log, train=train)
    assert any("read from the file by trial: whole they would" in text for text in log.texts)
    assert given[0][0].in_file is not None
    assert given[1].read_options.memory_gb == 1e-5
