"""A search in a file: whole and exact, or refused."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from search_cases import SearchCase, Watcher, search_tensors
from training_cases import Case, same_bits

from lfads_torch.errors import RunError
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.state import load_search, save_search
from lfads_torch.training.checkpoint import load_state, save_state

SEARCH = SearchCase(
    Case(n_train=5, n_valid=3, dtype=torch.float32),
    SearchSettings(population=3, generations=2, generation_epochs=1),
)
LAYOUT, CPU = SEARCH.case.task().layout, torch.device("cpu")


@pytest.fixture(scope="module")
def state():
    made = SEARCH.start()
    SEARCH.run(made, Watcher())
    return made


@pytest.fixture
def stored(state, tmp_path):
    path = tmp_path / "last.safetensors"
    save_search(path, state, LAYOUT, seed=3)
    return path


def changed(path, **tensors):
    """Change or drop (None) tensors by name; `__` stands for `/`."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    named = {name.replace("__", "/"): value for name, value in tensors.items()}
    found = safetensors.torch.load_file(path)
    assert named.keys() <= found.keys()
    kept = {name: value for name, value in {**found, **named}.items() if value is not None}
    safetensors.torch.save_file(kept, path, metadata)


def test_a_search_comes_back_to_the_bit(state, stored):
    back = load_search(stored, LAYOUT, CPU)
    assert same_bits(search_tensors(back), search_tensors(state)) == []
    assert (back.generation, back.population.epoch) == (state.generation, state.population.epoch)


def test_a_search_that_has_not_begun_can_be_stored_too(tmp_path):
    """Then the archive holds nothing of its own yet."""
    state, path = SEARCH.start(), tmp_path / "last.safetensors"
    save_search(path, state, LAYOUT, seed=3)
    back = load_search(path, LAYOUT, CPU)
    assert same_bits(search_tensors(back), search_tensors(state)) == []


def test_a_round_of_halving_keeps_its_negative_number(tmp_path):
    case, path = SEARCH.having(start="halving", population=1), tmp_path / "last.safetensors"
    save_search(path, case.start(), LAYOUT, seed=3)
    assert load_search(path, LAYOUT, CPU).generation == -2


def test_its_population_is_a_state_as_any_other(state, stored):
    back = load_state(stored, LAYOUT, CPU)
    assert torch.equal(back.weights, state.population.weights)


def test_the_state_of_a_fit_is_no_search(state, tmp_path):
    path = tmp_path / "last.safetensors"
    save_state(path, state.population, LAYOUT, seed=3)
    with pytest.raises(RunError, match=r"last\.safetensors: "):
        load_search(path, LAYOUT, CPU)


@pytest.mark.parametrize(
    "damage",
    [
        {"search__generation": None},
        {"search__parent": None},
        {"search__founder": None},
        {"search__slot": None},
        {"search__best__weights__generator.bias": None},
        {"search__best__hyperparameters__beta1": None},
        {"search__best__clock__best_epoch": None},
        {"search__best__members": None},
        {"search__generation": torch.arange(2)},
        {"search__generation": torch.tensor(1)},
        {"search__parent": torch.arange(2)},
        {"search__founder": torch.arange(4)},
        {"search__founder": torch.tensor([0, 1, 7])},
        {"search__slot": torch.arange(2)},
        {"search__best__members": torch.arange(2)},
        {"search__best__clock__best_score": torch.zeros(5)},
        {"clock__broken": None},
        {"clock__steps": torch.arange(2)},
        {"hyperparameters__beta1": torch.zeros(())},
        {"members": torch.arange(4)},
    ],
    ids=lambda damage: " ".join(f"{n} {'is gone' if v is None else v.tolist()}"
                                for n, v in damage.items()),
)  # fmt: skip
def test_a_damaged_search_is_refused_by_name(stored, damage):
    changed(stored, **damage)
    with pytest.raises(RunError, match=r"last\.safetensors: "):
        load_search(stored, LAYOUT, CPU)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.6, 0.999])
def test_a_truncated_search_is_refused(stored, share):
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError, match="copied whole"):
        load_search(stored, LAYOUT, CPU)
