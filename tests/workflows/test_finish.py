"""After training: which results are written, and which are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lfads_torch.config.read import read_settings
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.finish import RESULTS, finish_run, missing_results, reported_set
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.plot import plot_run
from lfads_torch.workflows.report import figure_inputs, recording_if_there

SMALL = (
    "model.ic_encoder_size=5", "model.n_inferred_inputs=0", "model.generator_size=6",
    "model.n_factors=3", "training.epochs=1", "loss.kl_ramp_increase=0",
    "loss.l2_ramp_increase=0", "inference.n_samples=2", "run.threads=1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recording = synthesise(
        "lorenz", 0, n_conditions=3, n_trials_per_condition=7, n_valid_per_condition=2, n_units=5,
        n_steps=160, bin_width_s=0.02,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("finish") / "run"
    fit_run(recording, read_settings(overrides=SMALL), folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "run")))


@pytest.fixture(scope="module")
def finished(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("finished") / "run"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")
        finish_run(RunFolder(folder))
    return folder


@pytest.fixture
def whole(finished: Path, tmp_path: Path) -> RunFolder:
    """With its results."""
    return RunFolder(Path(shutil.copytree(finished, tmp_path / "whole" / "run")))


class Messages:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    def epoch(self, report: object, settings: object) -> None:
        raise AssertionError("finishing trains nothing")

    def generation(self, report: object, settings: object) -> None:
        raise AssertionError("finishing searches nothing")


def written(run: RunFolder) -> dict[str, int]:
    return {name: (run.path / name).stat().st_mtime_ns for name in RESULTS}


def test_all_three_are_written_once(run: RunFolder) -> None:
    assert missing_results(run) == RESULTS
    messages = Messages()
    finish_run(run, observer=messages)
    assert missing_results(run) == ()
    assert [Path(text.split()[1]).name for text in messages.texts] == list(RESULTS)
    before = written(run)
    finish_run(run, observer=messages)
    assert written(run) == before
    finish_run(run, anew=True)
    assert all(now > before[name] for name, now in written(run).items())


@pytest.mark.parametrize("missing", RESULTS)
def test_what_is_made_from_what_is_missing_is_made_again(whole: RunFolder, missing: str) -> None:
    before = written(whole)
    (whole.path / missing).unlink()
    finish_run(whole)
    first = RESULTS.index(missing)
    after = written(whole)
    for position, name in enumerate(RESULTS):
        assert (after[name] > before[name]) == (position >= first), name


def test_scores_are_of_validation_where_there_is_no_test_set(whole: RunFolder) -> None:
    assert reported_set(whole) == "valid"
    scores = json.loads(whole.scores_path.read_text())
    assert scores["set"] == "valid"
    assert all(score["used_for_selection"] for score in scores["scores"])


@pytest.mark.parametrize(
    ("trials", "name"),
    [
        ({"train": [1], "valid": [2], "test": [3]}, "test"),
        ({"train": [1], "valid": [2], "test": []}, "valid"),
        ({"train": [1]}, "train"),
    ],
)
def test_the_reported_set(run: RunFolder, trials: dict[str, list[int]], name: str) -> None:
    run.write_split({**run.read_split(), "trials": trials})
    assert reported_set(run) == name


def test_a_run_that_has_not_finished_is_refused(run: RunFolder) -> None:
    run.set_status("interrupted", reason="SIGTERM")
    with pytest.raises(RunError, match=r"the run is interrupted.*lfads resume"):
        finish_run(run)
    assert missing_results(run) == RESULTS


def test_a_recording_that_has_gone_is_told_with_what_is_safe(run: RunFolder) -> None:
    (run.path / "recording.h5").unlink()
    with pytest.raises(RunError, match=r"training is finished and stored.*not there any more"):
        finish_run(run)
    assert recording_if_there(run) is None


def test_figures_get_everything_of_a_run(run: RunFolder, whole: RunFolder, tmp_path: Path) -> None:
    with figure_inputs(run) as inputs:
        assert inputs.rates is None
        assert inputs.recording is not None
    with figure_inputs(whole) as inputs:
        assert inputs.rates is not None
        assert inputs.rates["rates"].shape == (21, 8, 5)
        assert inputs.recording is not None
        np.testing.assert_array_equal(inputs.recording.trial_ids, np.arange(21))
        assert len(inputs.metrics) == 1
        assert inputs.scores["set"] == "valid"
        assert inputs.run["status"] == "finished"
        assert inputs.settings["model"]["n_factors"] == 3
        assert "findings" in inputs.check
    target = plot_run(whole, "loss_curves", tmp_path / "curves.svg")
    assert target.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("stage", ["evaluate.evaluate_run", "report.report_run"])
@pytest.mark.parametrize("error", [ValueError("boom"), RunError("no disk"), KeyboardInterrupt()])
def test_a_fault_after_training_is_told_until_the_results_are_there(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException
) -> None:
    from lfads_torch.outputs.run_status import status

    def fail(*arguments: object, **more: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(f"lfads_torch.workflows.{stage}", fail)
        with pytest.raises(type(error)):
            finish_run(run)
    found = status(run.path)
    assert found["status"] == "finished"
    assert found["missing"] == list(RESULTS[1 if stage.startswith("eval") else 2 :])
    assert found["next"] == f"lfads report {run.path}"
    assert (str(error) or "stopped") in found["results_error"]
    finish_run(run)
    after = status(run.path)
    assert (after["missing"], after["results_error"], after["next"]) == ([], None, None)


def test_after_a_fault_among_earlier_results_all_are_made_again(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("lfads_torch.workflows.finish.write_rates", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finish_run(whole, anew=True)
    before = whole.rates_path.stat().st_mtime_ns
    assert missing_results(whole) == ()
    assert "ZeroDivisionError" in str(whole.read_record().results_error)
    finish_run(whole)
    assert whole.rates_path.stat().st_mtime_ns != before
    assert whole.read_record().results_error is None


def test_a_wrong_argument_leaves_the_record_of_a_whole_run_alone(
    whole: RunFolder, tmp_path: Path
) -> None:
    from lfads_torch.data.formats.ours import write_recording

    few = {"n_conditions": 2, "n_trials_per_condition": 3, "n_valid_per_condition": 1}
    other = synthesise("lorenz", 3, **few, n_steps=40, n_units=5, bin_width_s=0.02)
    write_recording(other, tmp_path / "other.h5")
    before = whole.record_path.read_bytes()
    messages = Messages()
    for given in ({"data_path": tmp_path / "other.h5"}, {"data_path": tmp_path / "none.h5"}):
        with pytest.raises(RunError, match="cannot be written"):
            finish_run(whole, anew=True, observer=messages, **given)
    with pytest.raises(RunError, match="not what the run was trained on"):
        finish_run(whole, anew=True, observer=messages, recording=other)
    assert messages.texts == []  # nothing is missing, and no command writes it
    assert whole.record_path.read_bytes() == before


def test_a_process_that_is_refused_writes_nothing_into_the_run_of_another(
    whole: RunFolder, run: RunFolder
) -> None:
    for one in (whole, run):
        before = one.record_path.read_bytes()
        with one.lock(), pytest.raises(RunError, match="training into"):
            finish_run(one, anew=True)
        assert one.record_path.read_bytes() == before


def test_an_error_is_told_though_the_record_has_gone_with_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: RunFolder, *more: object) -> None:
        run.record_path.write_text("{")
        raise RunError("no disk")

    monkeypatch.setattr("lfads_torch.workflows.finish.write_rates", fail)
    with pytest.raises(RunError, match="no disk"):
        finish_run(run)
