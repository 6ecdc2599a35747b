"""Fits and searches that start from a trained run, and what they freeze."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_cases import Watcher, recording, settings
from session_cases import sessions

from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.training.checkpoint import load_extras
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.warm_start import START, WarmStart

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("source") / "run"
    return fit_run(recording(), settings("run.n_seeds=2", "training.epochs=3"), folder)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_extras(path, CPU, prefix="weights/")


def from_run(run: RunFolder, **wanted) -> FitOptions:
    return FitOptions(start_from=WarmStart(run=run.path, **wanted))


def test_frozen_parts_keep_the_bits_of_the_run_they_came_from(trained, tmp_path):
    watcher = Watcher()
    run = fit_run(
        recording(), settings("run.n_seeds=3", "training.train=readout", "training.epochs=2"),
        tmp_path / "run", options=from_run(trained, member=1), observer=watcher,
    )  # fmt: skip
    before, after = weights(trained.best_checkpoint_path), weights(run.last_checkpoint_path)
    for name, value in after.items():
        is_trained = name.startswith("readout.")
        for member in range(3):
            assert torch.equal(value[member], before[name][1]) == (not is_trained), name
    record = run.read_record().warm_start
    assert (record["member"], record["state"], record["fresh"]) == (1, "best", [])
    assert set(record["taken"]) == set(before)
    assert any(text.startswith("weights from ") for text in watcher.said)


def test_the_best_member_and_its_best_epoch_are_taken_unless_others_are_named(trained, tmp_path):
    from lfads_torch.workflows.kept_models import kept_models

    best = kept_models(trained)[0].member
    run = fit_run(
        recording(), settings("training.epochs=1", "training.freeze=generator"),
        tmp_path / "a", options=from_run(trained),
    )  # fmt: skip
    name = "generator.recurrent"
    assert torch.equal(
        weights(run.last_checkpoint_path)[name][0],
        weights(trained.best_checkpoint_path)[name][best],
    )
    run = fit_run(
        recording(), settings("training.epochs=1", "training.freeze=generator"),
        tmp_path / "b", options=from_run(trained, state="last", member=0),
    )  # fmt: skip
    assert torch.equal(
        weights(run.last_checkpoint_path)[name][0], weights(trained.last_checkpoint_path)[name][0]
    )


def test_a_search_starts_every_member_from_it_and_freezes_through_its_gathers(trained, tmp_path):
    run = search_run(
        recording(),
        settings(
            "search.population=4", "search.generations=2", "search.generation_epochs=1",
            "training.freeze=encoders, generator",
        ),
        tmp_path / "run", options=from_run(trained, member=0),
    )  # fmt: skip
    before, after = weights(trained.best_checkpoint_path), weights(run.last_checkpoint_path)
    for name in ("ic_encoder.input", "controller_encoder.bias", "generator.recurrent"):
        assert all(torch.equal(after[name][p], before[name][0]) for p in range(4))
    assert not torch.equal(after["factors.weight"][0], before["factors.weight"][0])


def test_an_interrupted_run_goes_on_without_the_run_it_came_from(trained, tmp_path):
    import shutil

    source = RunFolder(Path(shutil.copytree(trained.path, tmp_path / "source")))
    given = settings("training.train=readout", "training.epochs=2")
    whole = fit_run(recording(), given, tmp_path / "whole", options=from_run(source))
    broken = fit_run(recording(), given, tmp_path / "broken", options=from_run(source))
    broken.last_checkpoint_path.unlink()
    broken.metrics_path.unlink()
    broken.set_status("interrupted")
    shutil.rmtree(source.path)
    resumed = resume_run(broken.path)
    for name, value in weights(whole.last_checkpoint_path).items():
        assert torch.equal(weights(resumed.last_checkpoint_path)[name], value)
    (broken.path / START).unlink()
    broken.set_status("interrupted")
    with pytest.raises(RunError, match="the run began from the weights in it"):
        resume_run(broken.path)


def test_changed_sizes_are_refused_with_both_shapes_and_the_setting(trained, tmp_path):
    with pytest.raises(RunError) as error:
        fit_run(
            recording(), settings("model.generator_size=4"), tmp_path / "run",
            options=from_run(trained),
        )  # fmt: skip
    text = str(error.value)
    assert "generator_start.weight is 3 x 5 there and 3 x 4 here" in text
    assert "model.generator_size is 5 there and 4 here" in text
    assert "--from-parts" in text
    assert not (tmp_path / "run").exists()


def test_another_number_of_encoded_units_is_told_and_the_split_advised(trained, tmp_path):
    other = recording()
    other = other.with_split(replace(other.split, is_encoded=np.ones(5, dtype=bool)))
    with pytest.raises(RunError) as error:
        fit_run(other, settings(), tmp_path / "run", options=from_run(trained))
    text = str(error.value)
    assert "monday has 4 encoded units there and 5 here" in text
    assert f"--split {trained.split_path})" in text
    assert "--settings" not in text


def test_of_several_sessions_the_split_of_the_one_that_differs_is_advised(tmp_path):
    before = fit_run(sessions(), settings("training.epochs=1"), tmp_path / "before")
    monday, tuesday, friday = sessions()
    tuesday = tuesday.with_split(replace(tuesday.split, is_encoded=np.ones(7, dtype=bool)))
    with pytest.raises(RunError) as error:
        fit_run([monday, tuesday, friday], settings(), tmp_path / "run", options=from_run(before))
    text = str(error.value)
    assert "tuesday has 5 encoded units there and 7 here. Give" in text
    assert f"(--split {before.path}/sessions/tuesday/split.json, for the other" in text


def test_other_units_are_refused_where_weights_belong_to_units(trained, tmp_path):
    other = recording()
    other = replace(other, unit_ids=np.array(["u4", "u0", "u9", "u2", "u8"]))
    with pytest.raises(RunError, match=r"readout\.monday\.weight, .*ic_encoder\.input.* belong to"):
        fit_run(other, settings(), tmp_path / "run", options=from_run(trained))
    run = fit_run(
        other, settings("training.epochs=1", "training.freeze=decoder"), tmp_path / "run",
        options=from_run(trained, parts=("decoder", "priors"), member=0),
    )  # fmt: skip
    before, after = weights(trained.best_checkpoint_path), weights(run.last_checkpoint_path)
    assert torch.equal(after["generator.recurrent"][0], before["generator.recurrent"][0])
    record = run.read_record().warm_start
    assert "ic_encoder.input" in record["fresh"]
    assert "ic_encoder.input" in record["left"]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ("training.freeze=readout.tuesday", r"no part 'readout\.tuesday'.*readout\.monday"),
        ("training.freeze='*'", "nothing is left to train"),
    ],
)
def test_unknown_parts_are_refused_before_a_folder_is_made(overrides, text, tmp_path):
    with pytest.raises(SettingsError, match=text):
        fit_run(recording(), settings(overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_members_and_parts_that_are_not_there_say_so(trained, tmp_path):
    for wanted, kind, text in (
        ({"member": 7}, RunError, r"there is no member 7; there are \[0, 1\]"),
        ({"parts": ("controler",)}, SettingsError, r"--from-parts\): .* Did you mean 'controller'"),
    ):
        with pytest.raises(kind, match=text):
            fit_run(recording(), settings(), tmp_path / "r", options=from_run(trained, **wanted))


def test_an_estimator_in_place_of_its_folder_says_what_is_needed():
    from lfads_torch import LFADS

    with pytest.raises(SettingsError, match="start_from is a LFADS; the folder of a run is needed"):
        LFADS(bin_width_s=0.01).fit(np.ones((3, 3, 3)), start_from=LFADS())
