"""What the other ways of searching do, and what they do not."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from search_cases import SearchCase, Watcher
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.search.perturb import PerturbationRule
from lfads_torch.search.select import SelectionRule
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.space import Range

SEARCH = SearchCase(
    Case(n_train=5, n_valid=3),
    SearchSettings(population=3, generations=3, generation_epochs=1, stop_generations=0),
)
NAMES = [each.name for each in SEARCH.space]


def run(case: SearchCase, **own):
    state, watcher = case.start(**own), Watcher()
    return case.run(state, watcher), watcher, state


@pytest.mark.parametrize("method", ["random", "list"])
def test_without_exploitation_every_member_trains_as_it_would_alone(method):
    """Random keeps what it drew, a list what it was given: to the bit a plain population."""
    case = replace(SEARCH, space=SEARCH.space if method == "random" else ()).having(method=method)
    own = {"learning_rate": [4e-3, 1e-3, 2e-2], "dropout_rate": [0.0, 0.1, 0.3]}
    plain = case.start(**own).population
    ending, watcher, state = run(case, **own)
    assert ending.kind == "limit"
    epochs(case.case, plain, 4)
    assert same_bits(state_tensors(state.population), state_tensors(plain)) == []
    assert [row["outcome"] for row in watcher.rows] == ["kept"] * 6 + ["last"] * 3
    assert all(row["parent"] == row["founder"] == row["member"] for row in watcher.rows)
    if method == "random":
        drawn = [tuple(row[name] for name in NAMES) for row in watcher.rows]
        assert drawn[:3] == drawn[3:6] == drawn[6:]
        assert len({each[1] for each in drawn}) == 3
    else:
        assert NAMES[0] not in watcher.rows[0]
        assert watcher.epochs[-1].values["learning_rate"] == [4e-3, 1e-3, 2e-2]


def test_explore_only_changes_the_losers_values_and_copies_nobody():
    weights = {}

    def remember(key):
        return lambda state, *given: weights.update(
            {(key, state.generation): state.population.weights.clone()}
        )

    case = SEARCH.having(method="explore_only", population=5, generations=2)
    watcher = Watcher(remember("end"), remember("start"))
    case.run(case.start(), watcher)
    assert torch.equal(weights["start", 1], weights["end", 0])
    first, second = watcher.rows[:5], watcher.rows[5:]
    assert sorted(row["outcome"] for row in first) == ["kept"] * 3 + ["perturbed"] * 2
    for before, after in zip(first, second, strict=True):
        assert after["parent"] == after["founder"] == after["member"]
        has_changed = [before[name] != after[name] for name in NAMES]
        assert has_changed == [before["outcome"] == "perturbed"] * len(NAMES)


def test_losers_by_exploration_alone_are_those_of_the_population_method():
    outcomes = []
    for method in ("population", "explore_only"):
        _, watcher, _ = run(SEARCH.having(method=method, population=5, generations=1 + 1))
        outcomes.append([row["outcome"] not in ("kept", "last") for row in watcher.rows[:5]])
    assert outcomes[0] == outcomes[1]


class CopyTheFirst(SelectionRule):
    def parents(self, scores, draws):
        return np.zeros(len(scores), dtype=np.int64)


class Halve(PerturbationRule):
    def perturbed(self, values, of, draws):
        return values / 2.0


def test_rules_of_the_users_own_drive_the_search(monkeypatch):
    monkeypatch.setitem(sys.modules, "rules_of_a_user", sys.modules[__name__])
    case = SEARCH.having(
        selection="rules_of_a_user:CopyTheFirst", perturbation="rules_of_a_user:Halve"
    )
    _, watcher, _ = run(case)
    assert [row["founder"] for row in watcher.rows[3:]] == [0] * 6
    rates = [row["training.learning_rate"] for row in watcher.rows]
    assert rates == pytest.approx([4e-3] * 3 + [4e-3, 2e-3, 2e-3] * 2)


def test_any_number_of_a_member_can_be_searched_and_zero_is_not():
    space = (
        Range(name="training.beta1", low=0.8, high=0.99, first="uniform", weight=0.1),
        Range(name="training.weight_decay", low=1e-4, high=1.0, first=0.0),
    )
    case = replace(SEARCH, space=space).having(resample_probability=0.5)
    _, watcher, _ = run(case)
    rows = watcher.rows
    assert {row["training.weight_decay"] for row in rows} == {0.0}
    assert len({row["training.beta1"] for row in rows}) > 3
    assert all(0.8 <= row["training.beta1"] <= 0.99 for row in rows)
    assert NAMES[0] not in rows[0]
