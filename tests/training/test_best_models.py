"""Files of models to keep: rows of any number, with their hyperparameters, and extras beside."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.errors import RunError
from lfads_torch.training.checkpoint import (
    BestModels,
    load_best,
    load_extras,
    load_state,
    load_weights,
    save_best,
    save_state,
)

CASE = Case(n_train=5, n_valid=3, dtype=torch.float32)
LAYOUT, CPU = CASE.task().layout, torch.device("cpu")


@pytest.fixture(scope="module")
def state():
    """Three members after two epochs; the second has no best epoch."""
    made = CASE.state((4, 9, 2), dropout_rate=[0.0, 0.1, 0.2])
    epochs(CASE, made, 2)
    made.clocks.best_epoch[1] = -1
    made.clocks.best_score[1] = float("inf")
    made.weights += 1.0  # so that they are not the best ones
    return made


def tensors(models: BestModels) -> dict[str, torch.Tensor]:
    own = models.hyperparameters.as_dict()
    return {**models.tensors(), **{f"own.{name}": value for name, value in own.items()}}


def test_a_member_without_a_best_epoch_has_its_last_weights(state):
    models = BestModels.of(state)
    assert torch.equal(models.weights[[0, 2]], state.best_weights[[0, 2]])
    assert torch.equal(models.weights[1], state.weights[1])
    assert not torch.equal(state.best_weights, state.weights)
    assert models.epoch.tolist() == state.clocks.best_epoch.tolist()
    assert models.members.tolist() == [4, 9, 2]


@pytest.mark.parametrize("rows", [[0, 1, 2], [2], [2, 0]], ids=str)
def test_models_come_back_to_the_bit(state, tmp_path, rows):
    models = BestModels.of(state).take(torch.tensor(rows))
    assert models.members.tolist() == [[4, 9, 2][row] for row in rows]
    path = tmp_path / "best.safetensors"
    save_best(path, state, LAYOUT, seed=3, models=models)
    assert same_bits(tensors(load_best(path, LAYOUT, CPU)), tensors(models)) == []
    weights, members = load_weights(path, LAYOUT, CPU)
    assert torch.equal(weights, models.weights)
    assert torch.equal(members, models.members)


def test_without_models_given_each_members_best_is_saved(state, tmp_path):
    path = tmp_path / "best.safetensors"
    save_best(path, state, LAYOUT, seed=3)
    back = load_best(path, LAYOUT, CPU)
    assert same_bits(tensors(back), tensors(BestModels.of(state))) == []


def test_extras_stand_beside_the_state_and_come_back_by_prefix(state, tmp_path):
    path = tmp_path / "last.safetensors"
    models = BestModels.of(state.copy()).take(torch.tensor([2, 0]))
    extras = {"a/parent": torch.tensor([3, 1, 2]), "ab": torch.tensor([1.5])}
    save_state(path, state, LAYOUT, seed=3, extras={**extras, **models.named(LAYOUT, "a/best/")})
    assert same_bits(state_tensors(load_state(path, LAYOUT, CPU)), state_tensors(state)) == []
    found = load_extras(path, CPU, prefix="a/")
    assert found["parent"].tolist() == [3, 1, 2]
    assert {name.split("/")[0] for name in found} == {"parent", "best"}
    assert load_extras(path, CPU, prefix="z/") == {}
    back = load_best(path, LAYOUT, CPU, prefix="a/best/")
    assert same_bits(tensors(back), tensors(models)) == []


@pytest.mark.parametrize(
    "name", ["weights/generator.bias", "hyperparameters/beta1", "clock/best_score", "members"]
)
@pytest.mark.parametrize("damage", ["missing", "another number of rows"])
def test_damaged_models_are_refused(state, tmp_path, name, damage):
    path = tmp_path / "best.safetensors"
    save_best(path, state, LAYOUT, seed=3)
    stored = safetensors.torch.load_file(path)
    value = stored.pop(name)
    if damage != "missing":
        stored[name] = value[:2].clone()
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    safetensors.torch.save_file(stored, path, metadata)
    with pytest.raises(RunError, match=r"best\.safetensors: "):
        load_best(path, LAYOUT, CPU)
