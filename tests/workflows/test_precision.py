"""run.precision from the settings to the record: fit, search, resume, inference, Python."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
from run_cases import Watcher, differences, recording, settings

from lfads_torch.errors import RunError, SettingsError
from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.stored import load_model

LIBRARY = find_library()
pytestmark = pytest.mark.skipif(
    isinstance(LIBRARY, Absent), reason=getattr(LIBRARY, "reason", "there is a library")
)
BF16 = "run.precision=bf16"


def stop_after(epoch: int) -> Watcher:
    def after(report):
        if report.epoch == epoch:
            signal.raise_signal(signal.SIGTERM)

    return Watcher(after)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    watcher = Watcher()
    folder = tmp_path_factory.mktemp("bf16") / "run"
    return fit_run(recording(), settings(BF16), folder, observer=watcher), watcher


@pytest.fixture
def stopped(tmp_path):
    return fit_run(recording(), settings(BF16), tmp_path / "run", observer=stop_after(1))


def test_a_run_in_bf16_says_and_stores_it(fitted):
    run, watcher = fitted
    record = run.read_record()
    assert record.precision == "bf16"
    assert record.backend == choose_kernels(precision="bf16").name
    told = next(text for text in watcher.said if text.startswith("kernels: "))
    assert "bf16 operands, sums and states in float32" in told
    assert "precision: bf16" in run.settings_path.read_text()


def test_it_is_another_run_than_in_float32_but_near_it(fitted, tmp_path):
    usual = fit_run(recording(), settings(), tmp_path / "run")
    assert usual.read_record().precision == "float32"
    found, expected = (
        np.array([row["valid_score"] for row in run.metrics.read()]) for run in (fitted[0], usual)
    )
    assert (found != expected).any()
    np.testing.assert_allclose(found, expected, rtol=1e-2)


def test_resuming_keeps_it_and_every_bit(fitted, stopped):
    run = resume_run(stopped.path)
    assert run.read_record().precision == "bf16"
    assert differences(run, fitted[0]) == []


def test_another_precision_on_resuming_needs_leave(stopped):
    with pytest.raises(RunError, match=r"backend was compiled-.*-bf16, is compiled-"):
        resume_run(stopped.path, options=FitOptions(precision="float32"))
    options = FitOptions(precision="float32", allow_different_numbers=True)
    run = resume_run(stopped.path, options=options)
    record = run.read_record()
    assert (record.status, record.precision) == ("finished", "float32")
    assert "precision: float32" in run.settings_path.read_text()
    with pytest.raises(RunError, match="has finished, so --precision cannot change it"):
        resume_run(run.path, options=FitOptions(precision="bf16"))


def test_kernels_of_another_precision_are_refused_on_resuming(tmp_path):
    begun = settings("run.precision=float32")
    run = fit_run(recording(), begun, tmp_path / "run", observer=stop_after(0))
    options = FitOptions(kernels="compiled-bf16", allow_different_numbers=True)
    with pytest.raises(SettingsError, match=r"run\.precision is float32\. .*add --precision"):
        resume_run(run.path, options=options)
    assert run.read_record().precision == "float32"
    run = resume_run(run.path, options=replace(options, precision="bf16"))
    assert run.read_record().precision == "bf16"
    assert "precision: bf16" in run.settings_path.read_text()


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_asking_for_the_precision_it_has_keeps_the_kernels(tmp_path, precision):
    forced = FitOptions(kernels="portable")
    run = fit_run(recording(), settings(), tmp_path / "run", options=forced, observer=stop_after(0))
    run = resume_run(run.path, options=FitOptions(precision=precision))
    assert run.read_record().backend == "portable"


def test_a_generator_of_ones_own_is_refused_before_a_folder_is_made(tmp_path):
    own = settings(BF16, "model.generator=lfads_torch.model.cells.gru:GRUGenerator")
    with pytest.raises(SettingsError, match="reference scan, which has no bf16 products"):
        fit_run(recording(), own, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_asking_for_the_same_precision_again_changes_nothing(fitted, stopped):
    run = resume_run(stopped.path, options=FitOptions(precision="bf16"))
    assert differences(run, fitted[0]) == []


def test_numbers_stored_in_float64_cannot_go_on_in_bf16(tmp_path):
    run = fit_run(
        recording(), settings("run.precision=float64"), tmp_path / "run", observer=stop_after(0)
    )
    options = FitOptions(precision="bf16", allow_different_numbers=True)
    with pytest.raises(RunError, match="stored in float64, so it cannot go on in bf16"):
        resume_run(run.path, options=options)


@pytest.mark.parametrize("kernels", ["portable", "reference"])
def test_kernels_without_it_are_refused_when_a_run_begins(tmp_path, kernels):
    with pytest.raises(SettingsError, match="computes its products in float32"):
        fit_run(recording(), settings(BF16), tmp_path / "run", options=FitOptions(kernels=kernels))
    assert not (tmp_path / "run").exists()


def test_kernels_that_name_another_precision_are_refused_before_a_folder_is_made(tmp_path):
    options = FitOptions(kernels="compiled-bf16")
    with pytest.raises(SettingsError, match=r"asks for bf16, but run\.precision is float32"):
        fit_run(recording(), settings("run.precision=float32"), tmp_path / "run", options=options)
    assert not (tmp_path / "run").exists()


def test_a_search_runs_and_resumes_in_bf16(tmp_path):
    small = settings(
        BF16, "search.population=2", "search.generations=1", "search.generation_epochs=2"
    )
    whole = search_run(recording(), small, tmp_path / "whole")
    assert whole.read_record().precision == "bf16"
    half = search_run(recording(), small, tmp_path / "half", observer=stop_after(0))
    run = resume_run(half.path)
    assert run.read_record().precision == "bf16"
    assert differences(run, whole) == []


def test_what_was_trained_is_applied_in_float32(fitted):
    model = load_model(fitted[0], recording())
    assert model.assembly.task.kernels.precision == "float32"
