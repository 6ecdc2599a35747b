"""A refit trains the chosen settings on everything, and never claims to be validated."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import fitted, rich_recording

from lfads_torch.errors import DataError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.training.checkpoint import read_clock
from lfads_torch.workflows.assemble import start_state
from lfads_torch.workflows.evaluate import Protocol, evaluate_run
from lfads_torch.workflows.fit import FitOptions, Quiet, resume_run
from lfads_torch.workflows.refit import best_epoch_of, refit_run
from lfads_torch.workflows.stored import load_model, read_recording_of, read_settings_of

CPU = torch.device("cpu")


class Heard(Quiet):
    """Keeps what was said, and the first weights seen."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


class StopsAtOnce(Quiet):
    """Interrupts the training after its first epoch, as a kill would."""

    def epoch(self, report, settings):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("refit") / "run"
    settings = ("split.test_fraction=0.2", "run.n_seeds=2", "training.checkpoint_interval_s=0")
    return fitted(rich_recording(), folder, *settings, "training.epochs=4", "training.patience=9")


@pytest.fixture(scope="module")
def refitted(run, tmp_path_factory) -> tuple[RunFolder, Heard]:
    observer = Heard()
    return refit_run(run, tmp_path_factory.mktemp("refit") / "all", observer=observer), observer


def test_every_trial_but_those_of_the_test_set_trains(run, refitted):
    before, after = run.read_split()["trials"], refitted[0].read_split()["trials"]
    assert sorted(after["train"]) == sorted(before["train"] + before["valid"])
    assert after["valid"] == []
    assert after["test"] == before["test"] != []
    assert refitted[0].read_split()["held_out_units"] == run.read_split()["held_out_units"]


def test_the_record_says_that_there_is_no_validation(run, refitted):
    record, best = refitted[0].read_record(), best_epoch_of(run)
    assert (record.status, record.n_members) == ("finished", 1)
    assert record.refit["run"] == "run"
    assert record.refit["member"] == best.member
    assert record.refit["epochs"] == best.epoch + 1
    assert record.refit["validation"].startswith("none")
    (warning,) = record.warnings
    assert "there is no validation set" in warning
    assert "6 test trials, which it has not seen" in warning
    assert warning in refitted[1].said
    assert json.loads(refitted[0].record_path.read_text())["warnings"] == [warning]
    assert refitted[0].read_check() == run.read_check()


def test_it_trains_for_the_epochs_of_the_best_one_and_keeps_the_last(run, refitted):
    best = best_epoch_of(run)
    rows = refitted[0].metrics.read()
    assert [row["epoch"] for row in rows] == list(range(best.epoch + 1))
    last = load_file(refitted[0].last_checkpoint_path)
    kept = load_file(refitted[0].best_checkpoint_path)
    names = [name for name in kept if name.startswith("weights/")]
    assert names
    assert all(torch.equal(kept[name], last[name]) for name in names)
    assert int(read_clock(refitted[0].best_checkpoint_path, "best_epoch", CPU)[0]) == best.epoch


def test_it_starts_from_the_weights_of_the_member_it_refits(run, refitted):
    best = best_epoch_of(run)
    model = load_model(refitted[0], read_recording_of(refitted[0]))
    assert model.member == best.member
    original = load_model(run, read_recording_of(run), member=best.member)
    whole = start_state(original.assembly).weights[best.member]
    alone = start_state(model.assembly, first_member=best.member).weights[0]
    places = torch.arange(len(whole), dtype=torch.float64)[None]
    named = original.assembly.task.layout.views(places)
    readout = named["readout.tiny.bias"].flatten().long()  # it starts at the training mean
    same = torch.ones(len(whole), dtype=torch.bool)
    same[readout] = False
    assert torch.equal(whole[same], alone[same])


def test_an_interrupted_refit_resumes_bit_for_bit(run, refitted, tmp_path):
    options = FitOptions(overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        refit_run(run, tmp_path / "cut", options=options, observer=StopsAtOnce())
    resumed = resume_run(tmp_path / "cut")
    for name in ("last_checkpoint_path", "best_checkpoint_path"):
        whole, again = (load_file(getattr(each, name)) for each in (refitted[0], resumed))
        assert whole.keys() == again.keys()
        assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_only_its_test_trials_can_judge_it(refitted):
    found = evaluate_run(refitted[0], which_set="test", protocol=Protocol(n_bootstrap=0))
    assert not any(score.is_used_for_selection for score in found.scores)
    assert any("no validation trials" in note for note in found.notes)
    with pytest.raises(DataError, match="valid set has no trials"):
        evaluate_run(refitted[0], which_set="valid")


def test_test_trials_join_only_when_asked(run, tmp_path):
    everything = refit_run(run, tmp_path / "everything", include_test=True)
    split = everything.read_split()["trials"]
    assert sorted(split["train"]) == sorted(rich_recording().trial_ids.tolist())
    (warning,) = everything.read_record().warnings
    assert "the scores to quote are those of run" in warning
    assert read_settings_of(everything).training.patience == 0
    assert np.isfinite(everything.metrics.read()[-1]["valid_score"]).all()


def test_what_cannot_be_refitted_is_refused(run, refitted, tmp_path):
    with pytest.raises(RunError, match=r"is a refit itself.*came from, run"):
        refit_run(refitted[0], tmp_path / "again")
    ramps = "loss.kl_ramp_increase=30"
    early = fitted(rich_recording(), tmp_path / "early", ramps, "training.epochs=1")
    with pytest.raises(RunError, match="no epoch counted as best"):
        refit_run(early, tmp_path / "early_again")
    early.set_status("interrupted")
    with pytest.raises(RunError, match=r"the run is interrupted.*lfads resume"):
        refit_run(early, tmp_path / "early_again")
    assert not (tmp_path / "early_again").exists()
