"""The same numbers wherever the estimator is kept, and nothing left behind or replaced."""

from __future__ import annotations

import copy
import gc
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.base import clone
from tiny_estimator import TINY, WIDTH, counts, tiny

from lfads_torch import LFADS
from lfads_torch.errors import DataError, OutputError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.warm_start import WarmStart


def test_saved_and_loaded_it_gives_the_same_rates(fitted: LFADS, X: Any, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    assert fitted.save(target) == target
    loaded = LFADS.load(target)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    assert loaded.n_features_in_ == 5
    assert loaded.settings_ == fitted.settings_
    assert loaded.bin_width_s == WIDTH
    assert loaded.n_seeds == 2
    assert set(loaded.infer(X)["trial_set"].values) == {"train", "valid"}
    assert not [path for path in target.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")]


def test_a_loaded_one_fits_again_to_the_same_numbers_and_leaves_the_folder(
    fitted: LFADS, X: Any, tmp_path: Path
) -> None:
    folder = fitted.save(tmp_path / "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = LFADS.load(folder).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    assert again.run_folder_ != folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_saving_never_replaces_anything(fitted: LFADS, tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    assert LFADS.load(fitted.save(empty)).n_features_in_ == 5
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"full: there is something already\. Name a new"):
        fitted.save(full)
    with pytest.raises(OutputError, match=r"notes.txt: there is something already"):
        fitted.save(full / "notes.txt")
    assert [path.name for path in tmp_path.rglob("*.part*")] == []
    assert (full / "notes.txt").read_text() == "mine"


def test_loading_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        LFADS.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run"):
        LFADS.load(tmp_path)


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_a_copy_stands_on_its_own(X: Any, travel: Any) -> None:
    original = tiny(bin_width_s=WIDTH).fit(X)
    rates, folder = original.transform(X), original.run_folder_
    twin = travel(original)
    assert twin.run_folder_ != folder
    del original
    gc.collect()
    assert not folder.exists()
    np.testing.assert_array_equal(twin.transform(X), rates)
    assert twin.get_params()["settings"] == TINY


def test_an_unfitted_one_can_be_pickled() -> None:
    twin = pickle.loads(pickle.dumps(tiny(seed=4)))
    assert twin.get_params() == tiny(seed=4).get_params()


def test_temporary_folders_go_with_the_estimator_or_the_process(
    X: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    estimator = tiny(bin_width_s=WIDTH).fit(X)
    first = estimator.run_folder_
    assert tmp_path in first.parents
    estimator.fit(X).infer(X)
    assert not first.exists()
    with pytest.raises(DataError):
        estimator.fit(X[:, :, :0])
    del estimator
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_is_kept_and_replaced_by_its_own_estimator_only(
    X: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    estimator = tiny(bin_width_s=WIDTH, run_folder=folder).fit(X)
    assert estimator.run_folder_ == folder
    first = estimator.transform(X)
    assert RunFolder.open(folder).read_record().status == "finished"
    np.testing.assert_array_equal(estimator.fit(X).transform(X), first)
    with pytest.raises(RunError, match=r"holds a run already. Give another run_folder"):
        clone(estimator).fit(X)
    np.testing.assert_array_equal(LFADS.load(folder).transform(X), first)


def test_ctrl_c_is_passed_on_and_keeps_the_model(X: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfads_torch.workflows.listener import Listener

    monkeypatch.setattr(
        Listener, "epoch", lambda self, report, settings: signal.raise_signal(signal.SIGINT)
    )
    estimator = tiny({"training.epochs": 50}, bin_width_s=WIDTH)
    with pytest.raises(KeyboardInterrupt, match="kept as far as it got"):
        estimator.fit(X)
    assert any("stored after epoch 0" in text for text in estimator.messages_)
    assert estimator.transform(X).shape == X.shape


def test_training_starts_from_a_run_or_from_a_part_of_it(tmp_path):
    first = tiny(run_folder=tmp_path / "first", bin_width_s=WIDTH).fit(counts())
    frozen = {"training.train": "readout", "training.epochs": 1}
    second = tiny(frozen, run_folder=tmp_path / "second", bin_width_s=WIDTH)
    second.fit(counts(), start_from=str(tmp_path / "first"))
    before, after = (
        load_file(RunFolder.open(tmp_path / name).best_checkpoint_path)
        for name in ("first", "second")
    )
    name = next(each for each in before if each.startswith("weights/generator"))
    assert torch.equal(before[name], after[name])
    assert any(text.startswith("weights from ") for text in second.messages_)
    part = WarmStart(run=tmp_path / "first", parts=("generator",))
    with pytest.raises(RunError, match="no_such_run"):
        tiny(bin_width_s=WIDTH).fit(counts(), start_from=tmp_path / "no_such_run")
    third = tiny({"training.freeze": "generator", "training.epochs": 1}, bin_width_s=WIDTH)
    third.fit(counts(seed=1), start_from=part)
    assert any(text.startswith("weights from ") for text in third.messages_)
    assert first.transform(counts()).shape == third.transform(counts()).shape
