"""Checkpoints: exact, refused where they do not fit, and never half-written."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.errors import FormatError, OutputError, RunError
from lfads_torch.training.checkpoint import (
    load_state,
    load_weights,
    read_clock,
    save_best,
    save_state,
)

CASE = Case(dtype=torch.float32)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def state():
    """Two members after two epochs; member 1 has no best epoch, and holds odd numbers."""
    made = CASE.state((4, 9))
    epochs(CASE, made, 2)
    made.clocks.best_epoch[1] = -1
    made.clocks.best_score[1] = float("inf")
    made.clocks.smoothed[1] = float("nan")
    made.moment1[1, 0] = -0.0
    return made


@pytest.fixture
def stored(state, tmp_path):
    path = tmp_path / "last.safetensors"
    save_state(path, state, CASE.task().layout, seed=7)
    return path


def rewritten(path, *, tensors=None, metadata=None):
    """Change some tensors (None drops one) and metadata of a stored file."""
    with safe_open(path, framework="pt") as file:
        found = {**file.metadata(), **(metadata or {})}
    kept = {**safetensors.torch.load_file(path), **(tensors or {})}
    kept = {name: value for name, value in kept.items() if value is not None}
    safetensors.torch.save_file(kept, path, {k: v for k, v in found.items() if v is not None})


def test_a_state_comes_back_to_the_bit(state, stored):
    back = load_state(stored, CASE.task().layout, CPU)
    assert same_bits(state_tensors(back), state_tensors(state)) == []
    assert (back.step, back.epoch) == (state.step, state.epoch) == (6, 2)
    for name, value in state_tensors(state).items():
        assert state_tensors(back)[name].dtype == value.dtype


def test_a_restored_state_trains_on_as_the_first_one(state, stored):
    back, first = load_state(stored, CASE.task().layout, CPU), state.copy()
    for each in (back, first):
        epochs(CASE, each, 1)
    assert same_bits(state_tensors(back), state_tensors(first)) == []


def test_the_best_file_has_the_last_weights_of_a_member_without_a_best(state, tmp_path):
    path, layout = tmp_path / "best.safetensors", CASE.task().layout
    save_best(path, state, layout, seed=7)
    weights, members = load_weights(path, layout, CPU)
    assert members.tolist() == [4, 9]
    assert torch.equal(weights[0], state.best_weights[0])
    assert torch.equal(weights[1], state.weights[1])
    assert read_clock(path, "best_epoch", CPU).tolist() == state.clocks.best_epoch.tolist()
    assert torch.equal(read_clock(path, "best_score", CPU), state.clocks.best_score)


def test_a_file_says_what_it_is(stored):
    with safe_open(stored, framework="pt") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert metadata["format"] == "lfads-torch state"
    assert metadata["format_version"] == "1"
    assert (metadata["epoch"], metadata["step"], metadata["seed"]) == ("2", "6", "7")
    assert {"weights/factors.weight", "moment2/generator.bias", "clock/steps"} <= names


def test_other_shapes_are_refused(stored):
    wider = replace(CASE, model=replace(CASE.model, n_factors=4))
    with pytest.raises(RunError, match=r"factors\.weight.*shape \(3, 5\).*needs \(4, 5\)"):
        load_state(stored, wider.task().layout, CPU)


def test_a_missing_weight_is_named(stored):
    rewritten(stored, tensors={"moment1/generator.bias": None})
    with pytest.raises(RunError, match=r"'generator\.bias' there is nothing"):
        load_state(stored, CASE.task().layout, CPU)


@pytest.mark.parametrize("version", ["2", "one", "-1", None])
def test_a_version_that_is_not_known_is_refused(stored, version):
    rewritten(stored, metadata={"format_version": version})
    with pytest.raises(FormatError, match="version 1 at most"):
        load_state(stored, CASE.task().layout, CPU)


def test_another_kind_of_safetensors_file_is_refused(stored):
    safetensors.torch.save_file({"members": torch.arange(2)}, stored)
    with pytest.raises(FormatError, match="found format None"):
        load_state(stored, CASE.task().layout, CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"tensors": {"clock/steps": None}},
        {"tensors": {"hyperparameters/dropout_rate": None}},
        {"tensors": {"members": None}},
        {"metadata": {"epoch": None}},
        {"metadata": {"step": "many"}},
    ],
    ids=str,
)
def test_an_incomplete_state_is_named_as_such(stored, change):
    rewritten(stored, **change)
    with pytest.raises(RunError, match=r"last\.safetensors: the state is incomplete"):
        load_state(stored, CASE.task().layout, CPU)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(stored, share):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError, match="copied whole"):
        load_state(stored, CASE.task().layout, CPU)


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_a_pickle_under_this_name_is_refused_and_not_run(stored, write):
    with stored.open("wb") as file:
        pickle.dump(Explosive(), file) if write == "pickle" else torch.save(Explosive(), file)
    with pytest.raises(RunError, match="no state can be read"):
        load_state(stored, CASE.task().layout, CPU)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="no state can be read"):
        load_state(tmp_path / "none.safetensors", CASE.task().layout, CPU)


@pytest.mark.parametrize("where", ["save", "rename", "interrupt"])
def test_a_write_that_fails_leaves_the_older_file_whole(state, stored, monkeypatch, where):
    older = stored.read_bytes()

    def full(tensors, target, metadata):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    def no_rename(source, target):
        raise OSError(5, "Input/output error")

    def interrupted(tensors, target, metadata):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    if where == "rename":
        monkeypatch.setattr("os.replace", no_rename)
    else:
        failing = full if where == "save" else interrupted
        monkeypatch.setattr(safetensors.torch, "save_file", failing)
    expected = KeyboardInterrupt if where == "interrupt" else OutputError
    with pytest.raises(expected) as caught:
        save_state(stored, state, CASE.task().layout, seed=8)
    assert stored.read_bytes() == older
    assert [file.name for file in stored.parent.iterdir()] == ["last.safetensors"]
    if where == "save":
        assert "no space left" in str(caught.value)
        assert "untouched: `lfads resume` goes on" in str(caught.value)


def test_a_disk_that_is_full_at_the_first_checkpoint(state, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OutputError, match=r"no space left.*goes on from the last checkpoint"):
        save_state(tmp_path / "last.safetensors", state, CASE.task().layout, seed=8)


def test_what_a_kill_left_goes_with_the_next_checkpoint(state, stored):
    for name in (".last.safetensors.123-00000000.part.safetensors", ".tmpWMj9vd"):
        (stored.parent / name).write_bytes(b"half")  # ours, and one that safetensors makes
    save_state(stored, state, CASE.task().layout, seed=7)
    assert [file.name for file in stored.parent.iterdir()] == ["last.safetensors"]
