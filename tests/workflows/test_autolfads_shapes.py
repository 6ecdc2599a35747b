"""`AutoLFADS(shapes=...)`: a search per shape, the best one kept, and what ends it early."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from run_cases import recording
from sklearn.base import clone

from lfads_torch import AutoLFADS
from lfads_torch.errors import DivergenceError, RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows import search

SIZE = "model.generator_size"
SETTINGS = {
    "model.ic_encoder_size": 3, "model.controller_encoder_size": 3, "model.controller_size": 3,
    "model.n_factors": 3, "model.n_inferred_inputs": 1, "model.initial_condition_size": 3,
    "loss.kl_ramp_increase": 1, "loss.l2_ramp_increase": 1, "training.batch_size": 7,
    "inference.n_samples": 2,
}  # fmt: skip


def asked(**arguments) -> AutoLFADS:
    given = {
        "preset": "small", "settings": SETTINGS, "method": "random", "population": 3,
        "generations": 1, "generation_epochs": 1, "space": {SIZE: "4..9"}, "shapes": 2,
        "threads": 1, "device": "cpu",
    }  # fmt: skip
    return AutoLFADS(**(given | arguments))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return asked(run_folder=tmp_path_factory.mktemp("shapes") / "out").fit(recording())


def test_every_shape_is_searched_and_the_best_is_kept(fitted):
    first, second = fitted.shapes_
    assert [shape.rank for shape in fitted.shapes_] == [1, 2]
    assert first.score < second.score
    assert sorted([first.members, second.members]) == [1, 2]
    assert first.settings[SIZE] != second.settings[SIZE]
    assert fitted.run_folder_.name == first.folder
    assert fitted.settings_[SIZE] == first.settings[SIZE]
    assert len(set(fitted.history_["member"])) == first.members
    assert fitted.transform(recording()).shape == recording().counts.shape


def test_it_is_found_again(fitted):
    loaded = AutoLFADS.load(fitted.run_folder_)
    assert loaded.shapes_ == fitted.shapes_
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.shapes_ == fitted.shapes_
    np.testing.assert_array_equal(copy.transform(recording()), loaded.transform(recording()))
    assert clone(fitted).get_params()["shapes"] == 2
    assert AutoLFADS.load(fitted.run_folder_).shapes is None


def test_only_its_own_folder_is_replaced(fitted):
    with pytest.raises(RunError, match="holds a search over shapes already"):
        clone(fitted).fit(recording())
    before = RunFolder(fitted.run_folder_).read_record().start
    again = fitted.fit(recording())
    assert RunFolder(again.run_folder_).read_record().start >= before
    assert [shape.status for shape in again.shapes_] == ["finished", "finished"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "population"}, 'search.method is population.*method="random" in Python'),
        ({"shapes": 4}, "4; needed is a number from 1 to the population, 3"),
        ({"shapes": "2"}, r"AutoLFADS\(shapes=...\) is '2'"),
        ({"shapes": True}, r"AutoLFADS\(shapes=...\) is True"),
        ({"space": None}, "no setting that changes shapes is searched"),
        ({"space": {SIZE: "4..9,first=5"}}, "leave first out"),
        ({"space": {SIZE: {"low": 4.5, "high": 9}}}, "needed are whole numbers"),
        ({"space": {SIZE: {"high": 9}}}, "needed are whole numbers"),
        ({"values": [{"training.learning_rate": 1e-3}]}, "gives every member, and shapes draws"),
        ({"shapes": None}, "model.generator_size .* cannot be searched while members train"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(SettingsError, match=message):
        asked(run_folder=tmp_path / "out", **arguments).fit(recording())
    assert not (tmp_path / "out").exists()


def test_a_mapping_of_whole_numbers_is_a_range_too(monkeypatch, tmp_path):
    drawn = []

    def note(recordings, settings, *given, **options):
        drawn.append(settings.model.generator_size)
        raise DivergenceError("noted")

    monkeypatch.setattr(search, "search_run", note)
    space = {SIZE: {"low": np.int64(4), "high": 5}}
    with pytest.raises(
        DivergenceError, match=r"no shape ended with a score. shape_0: noted; shape"
    ):
        asked(run_folder=tmp_path / "out", space=space).fit(recording())
    assert sorted(drawn) == [4, 5]


def test_a_signal_keeps_the_best_so_far_and_is_passed_on(monkeypatch, tmp_path):
    whole = search.search_run

    def stopped_in_the_second(recordings, settings, folder, **options):
        run = whole(recordings, settings, folder, **options)
        if folder.name == "shape_1":
            run.set_status("interrupted", reason="SIGINT")
        return run

    monkeypatch.setattr(search, "search_run", stopped_in_the_second)
    estimator = asked(run_folder=tmp_path / "out", population=3, shapes=3)
    with pytest.raises(KeyboardInterrupt, match="kept as far as it got"):
        estimator.fit(recording())
    found = {shape.folder: shape.status for shape in estimator.shapes_}
    assert found == {"shape_0": "finished", "shape_1": "interrupted", "shape_2": "waiting"}
    assert estimator.transform(recording()).shape == recording().counts.shape
