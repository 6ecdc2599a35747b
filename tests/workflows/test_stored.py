"""Reading back a run: its recording, its settings, its card, and what is said where that fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from run_cases import recording, settings

from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.errors import DataError, FormatError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.model_card import card_of, read_card, write_card
from lfads_torch.workflows.stored import (
    load_model,
    read_recording_of,
    read_settings_of,
    with_model_split,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    wanted = settings("run.n_seeds=3", "training.epochs=3")
    return fit_run(recording(), wanted, tmp_path_factory.mktemp("stored") / "run")


def test_the_recording_comes_back_with_the_runs_split(run):
    back = read_recording_of(run)
    assert fingerprint(back) == fingerprint(recording())
    assert back.split.trial_set.tolist() == recording().split.trial_set.tolist()
    assert back.split.is_encoded.tolist() == recording().split.is_encoded.tolist()
    assert back.split.n_encoded_bins == 8


def test_settings_come_back(run):
    assert read_settings_of(run).training.epochs == 3


def test_the_card_comes_back(run, tmp_path):
    card = card_of(recording(), ("poisson",) * 5)
    assert read_card(run) == card
    numbered = replace(recording(), unit_ids=np.arange(5, dtype=np.int32))
    folder = RunFolder(tmp_path)
    write_card(folder, card_of(numbered))
    assert read_card(folder).unit_ids == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", RunError),
        ("{", RunError),
        ("[1]", FormatError),
        ('{"format": "other"}', FormatError),
        ('{"format": "lfads-torch model", "format_version": 2}', FormatError),
        ('{"format": "lfads-torch model", "format_version": "1"}', FormatError),
        ('{"format": "lfads-torch model", "format_version": 1}', FormatError),
        (
            '{"format": "lfads-torch model", "format_version": 1, "unit_ids": [], '
            '"is_encoded": [], "colour": 3}',
            FormatError,
        ),
    ],
)
def test_a_damaged_card_is_named(tmp_path, content, error):
    (tmp_path / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(error, match=r"model\.json"):
        read_card(RunFolder(tmp_path))


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(RunError, match=r"model\.json cannot be read"):
        read_card(RunFolder(tmp_path))


def test_the_best_member_and_its_weights_are_loaded(run):
    stored = safetensors.torch.load_file(run.best_checkpoint_path)
    best = int(stored["clock/best_score"].argmin())
    model = load_model(run, recording())
    assert model.member == best
    views = model.assembly.task.layout.views(model.weights)
    for name, value in views.items():
        assert torch.equal(value[0], stored[f"weights/{name}"][best]), name
    third = load_model(run, recording(), member=2)
    assert third.member == 2
    assert torch.equal(
        third.assembly.task.layout.views(third.weights)["factors.weight"][0],
        stored["weights/factors.weight"][2],
    )


def test_a_member_without_a_finite_score_is_never_the_best(run, tmp_path):
    import shutil

    copy = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    from safetensors import safe_open

    with safe_open(copy.best_checkpoint_path, framework="pt") as file:
        metadata = file.metadata()
    tensors = safetensors.torch.load_file(copy.best_checkpoint_path)
    tensors["clock/best_score"] = torch.tensor([float("nan"), 5.0, float("inf")]).double()
    safetensors.torch.save_file(tensors, copy.best_checkpoint_path, metadata)
    assert load_model(copy, recording()).member == 1


def test_a_new_recording_takes_the_models_units_and_bins(run):
    card = read_card(run)
    new = with_model_split(replace(recording(4), split=None), card)
    assert set(new.split.trial_set.tolist()) == {"unused"}
    assert new.split.is_encoded.tolist() == [True, True, False, True, True]
    assert new.split.n_encoded_bins == 8
    own = replace(recording().split, n_encoded_bins=3)
    kept = with_model_split(recording().with_split(own), card)
    assert kept.split.trial_set.tolist() == own.trial_set.tolist()
    assert kept.split.n_encoded_bins == 8


def test_a_split_that_holds_out_other_units_is_refused(run):
    other = replace(recording().split, is_encoded=np.array([False, True, True, True, True]))
    with pytest.raises(DataError, match="holds out other units"):
        load_model(run, recording().with_split(other))


def test_settings_of_another_model_are_named(run, tmp_path):
    import shutil

    copy = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    text = copy.settings_path.read_text(encoding="utf-8")
    copy.write_settings(text.replace("  n_factors: 3 ", "  n_factors: 4 "))
    with pytest.raises(RunError, match="do not belong together"):
        load_model(copy, recording())
