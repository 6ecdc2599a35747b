"""A fit's folder, its record and status, and what is refused before anything is written."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from run_cases import Watcher, differences, recording, settings

from lfads_torch.config.read import read_settings
from lfads_torch.data.check import check
from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, DivergenceError, LfadsError, OutputError, RunError
from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.outputs.run_status import status
from lfads_torch.training.checkpoint import load_weights
from lfads_torch.workflows.assemble import assemble, start_state
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Two restarts, with what was said."""
    watcher = Watcher()
    folder = tmp_path_factory.mktemp("fit") / "run"
    run = fit_run(recording(), settings("run.n_seeds=2"), folder, observer=watcher)
    return run, watcher


def test_the_folder_has_what_the_formats_say(fitted):
    run, _ = fitted
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert files == {
        "run.json", "settings.yaml", "split.json", "check.json", "model.json", "metrics.jsonl",
        "recording.h5", "checkpoints/last.safetensors", "checkpoints/best.safetensors",
    }  # fmt: skip


def test_the_record_tells_how_the_run_was_made(fitted):
    record = fitted[0].read_record()
    assert (record.status, record.seed, record.n_members) == ("finished", 4, 2)
    assert record.data_fingerprint == fingerprint(recording())
    assert record.data_path is None
    assert (record.threads, record.precision, record.device) == (1, "float32", "cpu")
    assert record.backend == choose_kernels().name
    assert record.end is not None
    assert record.versions["torch"] == torch.__version__.split("+")[0] or "+" in torch.__version__
    assert record.sizes == {
        "n_trials_train": 11, "n_trials_valid": 3, "n_bins": 9, "n_encoded_bins": 8, "n_units": 5,
        "n_encoded_units": 4, "n_external_inputs": 1, "n_trial_inputs": 0,
    }  # fmt: skip


def test_settings_are_stored_resolved_and_read_back_the_same(fitted):
    stored = read_settings(fitted[0].settings_path)
    assert stored.run.preset == "small"
    # Far from the size of the maze recording: the divergences' weights were converted.
    assert stored.loss.kl_scale_unit == "beta"
    assert stored == replace(settings("run.n_seeds=2"), loss=stored.loss)


def test_a_row_per_epoch_and_member(fitted):
    rows = fitted[0].metrics.read()
    assert [row["epoch"] for row in rows] == list(range(6))
    assert [row["step"] for row in rows] == [2 * (n + 1) for n in range(6)]
    assert all(len(row["loss"]) == 2 and np.isfinite(row["loss"]).all() for row in rows)


def test_the_observer_sees_every_epoch_and_what_was_adapted(fitted):
    _, watcher = fitted
    assert [report.epoch for report in watcher.reports] == list(range(6))
    assert any("units of beta" in text for text in watcher.said)
    assert any(text.startswith(f"kernels: {choose_kernels().name} ") for text in watcher.said)


def test_warnings_of_the_check_are_said_and_its_estimate_is_of_this_fit(fitted):
    run, watcher = fitted
    stored = run.read_check()
    warned = [each["message"] for each in stored["findings"] if each["severity"] == "warning"]
    assert any("Training trials: 11" in text for text in warned)
    assert all(any(text.startswith(one) for text in watcher.said) for one in warned)
    estimate = stored["estimate"]
    assert estimate["seconds"] == pytest.approx(6 * estimate["seconds_per_epoch"])


def test_the_best_file_has_the_weights_of_the_lowest_score_after_the_ramps(fitted):
    run, _ = fitted
    rows = run.metrics.read()
    scores = np.array([row["valid_score"] for row in rows])[1:]
    stored = safetensors.torch.load_file(run.best_checkpoint_path)
    assert stored["clock/best_epoch"].tolist() == (1 + scores.argmin(0)).tolist()
    np.testing.assert_allclose(stored["clock/best_score"], scores.min(0), rtol=1e-12)


def test_the_status_says_finished(fitted):
    found = status(fitted[0].path)
    assert (found["status"], found["can_resume"], found["process"]) == ("finished", False, None)


def test_restarts_are_the_members_of_their_ids(fitted, tmp_path):
    """The second restart of two is what it would be beside a third one."""
    run, _ = fitted
    three = fit_run(recording(), settings("run.n_seeds=3"), tmp_path / "three")
    first = np.array([row["loss"] for row in run.metrics.read()])
    beside = np.array([row["loss"] for row in three.metrics.read()])
    np.testing.assert_allclose(beside[:, :2], first, rtol=2e-3)
    np.testing.assert_allclose(beside[0, :2], first[0], rtol=1e-5)


def test_a_fit_trains_what_a_fit_of_a_stored_file_does(tmp_path):
    """From an array, and from a file that holds the same: the same run, bit for bit."""
    path = tmp_path / "monday.h5"
    write_recording(recording(), path)
    ours = fit_run(recording(), settings("training.epochs=2"), tmp_path / "ours")
    theirs = fit_run(
        read_recording(path), settings("training.epochs=2"), tmp_path / "theirs",
        options=FitOptions(data_path=path),
    )  # fmt: skip
    assert theirs.read_record().data_path == str(path)
    assert differences(ours, theirs) == ["recording.h5"]


def test_a_recording_without_a_split_is_divided_by_the_settings(tmp_path):
    plain = replace(recording(), split=None)
    run = fit_run(plain, settings("training.epochs=1", "split.valid_fraction=0.3"), tmp_path / "r")
    trials = run.read_split()["trials"]
    assert len(trials["valid"]) in (5, 6)
    assert sorted(trials["train"] + trials["valid"]) == sorted(plain.trial_ids.tolist())


def test_float64_and_the_reference_are_used_where_asked_for(tmp_path):
    run = fit_run(
        recording(), settings("run.precision=float64", "training.epochs=1"), tmp_path / "run",
        options=FitOptions(kernels="reference"),
    )  # fmt: skip
    record = run.read_record()
    assert (record.precision, record.backend) == ("float64", "reference")
    state = safetensors.torch.load_file(run.last_checkpoint_path)
    assert state["weights/factors.weight"].dtype == torch.float64


def test_the_first_readout_bias_is_the_training_mean():
    from lfads_torch.workflows.device import choose_device

    wanted = settings()
    assembly = assemble(recording(), wanted, device=choose_device(wanted.run))
    views = assembly.task.layout.views(start_state(assembly).weights)
    original = recording()
    training = original.counts[original.split.trials("train")]
    np.testing.assert_allclose(
        views["readout.monday.bias"][0].numpy(), np.log(training.mean((0, 1))), rtol=1e-6
    )


def test_early_stopping_ends_a_run_as_finished(tmp_path):
    run = fit_run(
        recording(), settings("training.patience=1", "training.epochs=60"), tmp_path / "run"
    )
    assert run.read_record().status == "finished"
    assert len(run.metrics.read()) < 60


def spoiled(kind: str):
    original = recording()
    counts = original.counts.astype(np.float64)
    if kind == "negative":
        counts[3, 2, 1] = -1.0
        return replace(original, counts=counts)
    if kind == "fraction":
        counts[3, 2, 1] = 0.5
        return replace(original, counts=counts)
    if kind == "nothing to validate":
        sets = np.where(original.split.trial_set == "valid", "unused", original.split.trial_set)
        return original.with_split(replace(original.split, trial_set=sets))
    if kind == "nothing to train":
        sets = np.where(original.split.trial_set == "train", "unused", original.split.trial_set)
        return original.with_split(replace(original.split, trial_set=sets))
    if kind == "no unit to encode":
        return original.with_split(replace(original.split, is_encoded=np.zeros(5, bool)))
    counts[:, :, 2] = np.nan
    return replace(original, counts=counts)


@pytest.mark.parametrize(
    "kind",
    [
        "negative",
        "fraction",
        "nothing to train",
        "nothing to validate",
        "no unit to encode",
        "all missing",
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_written(tmp_path, kind):
    with pytest.raises(DataError):
        fit_run(spoiled(kind), settings(), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_data_are_checked_once(tmp_path, monkeypatch):
    reports, check_recording = [], check.check_recording

    def counted(*given):
        reports.append(check_recording(*given))
        return reports[-1]

    monkeypatch.setattr(check, "check_recording", counted)
    run = fit_run(recording(), settings("training.epochs=1"), tmp_path / "run")
    (report,) = reports
    assert run.read_check()["findings"] == json.loads(json.dumps(report.to_json()))["findings"]


def test_a_folder_with_a_run_is_not_overwritten_unasked(fitted, tmp_path):
    quick = settings("training.epochs=1")
    run = fit_run(recording(), quick, tmp_path / "run")
    before = run.last_checkpoint_path.read_bytes()
    with pytest.raises(RunError, match="holds a run already"):
        fit_run(recording(), quick, run.path)
    assert run.last_checkpoint_path.read_bytes() == before
    fit_run(
        recording(), settings("training.epochs=1", "run.seed=9"), run.path,
        options=FitOptions(overwrite=True),
    )  # fmt: skip
    assert run.read_record().seed == 9
    assert run.last_checkpoint_path.read_bytes() != before


def test_a_folder_in_use_is_refused(tmp_path):
    def again(report):
        with pytest.raises(RunError, match="is training into this folder"):
            fit_run(recording(), settings(), tmp_path / "run", options=FitOptions(overwrite=True))
        with pytest.raises(RunError, match="is training into this run folder"):
            resume_run(tmp_path / "run")
        assert status(tmp_path / "run")["status"] == "running"

    fit_run(recording(), settings("training.epochs=1"), tmp_path / "run", observer=Watcher(again))


def test_a_fit_that_diverges_fails_with_its_reason(tmp_path):
    with pytest.raises(DivergenceError) as caught:
        fit_run(recording(), settings("training.learning_rate=1e30"), tmp_path / "run")
    found = status(tmp_path / "run")
    assert found["status"] == "failed"
    assert found["reason"] == str(caught.value)


def test_a_full_disk_fails_with_its_reason_and_the_run_goes_on_when_there_is_space(
    tmp_path, monkeypatch
):
    whole = fit_run(recording(), settings(), tmp_path / "whole")
    save, calls = safetensors.torch.save_file, []

    def full_at_the_fifth(tensors, target, metadata):
        calls.append(target)
        if len(calls) == 5:
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(tensors, target, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full_at_the_fifth)
        with pytest.raises(OutputError, match="no space left"):
            fit_run(recording(), settings(), tmp_path / "run")
    found = status(tmp_path / "run")
    assert (found["status"], found["can_resume"]) == ("failed", True)
    assert "no space left" in found["reason"]
    run = resume_run(tmp_path / "run")
    assert differences(run, whole) == []
    assert run.read_record().reason is None


def test_other_errors_of_ours_leave_the_lock_free(tmp_path):
    def broken(report):
        raise DataError("something of the user's")

    with pytest.raises(LfadsError):
        fit_run(recording(), settings(), tmp_path / "run", observer=Watcher(broken))
    assert status(tmp_path / "run")["status"] == "failed"
    assert not (tmp_path / "run" / "lock.json").exists()


def test_handlers_of_signals_are_put_back(tmp_path):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    fit_run(recording(), settings("training.epochs=1"), tmp_path / "run")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_card_tells_what_a_new_recording_must_be(fitted):
    card = json.loads((fitted[0].path / "model.json").read_text(encoding="utf-8"))
    assert card["unit_ids"] == ["u4", "u0", "u9", "u2", "u7"]
    assert card["is_encoded"] == [True, True, False, True, True]
    assert (card["n_bins"], card["n_encoded_bins"], card["session"]) == (9, 8, "monday")


def test_weights_are_those_of_every_member(fitted):
    run, _ = fitted
    wanted = settings("run.n_seeds=2")
    assembly = assemble(recording(), wanted, device=torch.device("cpu"))
    weights, members = load_weights(
        run.best_checkpoint_path, assembly.task.layout, torch.device("cpu")
    )
    assert members.tolist() == [0, 1]
    assert weights.shape == (2, assembly.task.layout.n)
