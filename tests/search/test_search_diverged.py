"""Members that leave the finite numbers: they lose, are named, are replaced, and harm nobody."""

from __future__ import annotations

import json
import math

import pytest
import torch
from search_cases import SearchCase, Watcher, search_tensors
from training_cases import Case, same_bits

from lfads_torch.search.history import best_by_generation
from lfads_torch.search.run import Past
from lfads_torch.search.settings import SearchSettings

SEARCH = SearchCase(
    Case(n_train=5, n_valid=3),
    SearchSettings(population=3, generations=3, generation_epochs=1, stop_generations=0),
)
NAN = float("nan")


def broken(epoch: int, members: tuple[int, ...]):
    """Puts a NaN among these members' weights after this epoch."""

    def after_epoch(state, report):
        if report.epoch == epoch:
            for p, member in enumerate(state.population.members.tolist()):
                if member in members:
                    state.population.weights[p, 2] = NAN

    return after_epoch


@pytest.fixture(scope="module")
def one_broken():
    """Member 1 breaks in epoch 1, the last of generation 0."""
    begun, watcher = {}, Watcher(broken(0, (1,)))
    watcher.on_begin = lambda state: begun.update({state.generation: search_tensors(state)})
    state = SEARCH.start()
    ending = SEARCH.run(state, watcher)
    return ending, watcher, begun, state


def test_a_member_that_broke_is_named_loses_and_is_replaced(one_broken):
    ending, watcher, begun, _ = one_broken
    assert ending.kind == "limit"
    row = watcher.rows[1]
    assert (row["member"], row["is_frozen"], row["broke"]) == (1, 1, "reconstruction")
    assert (row["score"], row["reconstruction"], row["outcome"]) == (None, None, "replaced")
    after = watcher.rows[4]
    assert after["parent"] in (0, 2)
    assert (after["is_frozen"], after["broke"], after["founder"]) == (0, "", after["parent"])
    assert math.isfinite(after["score"])
    assert begun[1]["clock.is_stopped"].tolist() == [False] * 3
    assert begun[1]["clock.broken"].tolist() == [-1] * 3
    (message,) = [text for report in watcher.epochs for text in report.messages]
    assert message.startswith("member 1: reconstruction was not finite in epoch 1; it is frozen")


def test_the_others_do_not_notice(one_broken):
    """Until the generation ends they are to the bit what they are beside a member that is well."""
    whole = Watcher()
    SEARCH.run(SEARCH.start(), whole, wants_stop=lambda: len(whole.epochs) == 2)
    for mine, other in zip(one_broken[1].epochs[:2], whole.epochs, strict=True):
        for name, values in other.values.items():
            assert [mine.values[name][p] for p in (0, 2)] == [values[p] for p in (0, 2)]
    without = SEARCH.start()
    without.population = without.population.part(torch.tensor([0, 2]))
    without.parent = without.founder = without.population.members.clone()
    alone = Watcher()
    SEARCH.run(without, alone, wants_stop=lambda: len(alone.epochs) == 2)
    for mine, other in zip(one_broken[1].epochs[:2], alone.epochs, strict=True):
        for name, values in other.values.items():
            assert [mine.values[name][p] for p in (0, 2)] == pytest.approx(values, rel=1e-10)


def test_an_absurd_rate_breaks_one_member_alone():
    case = SearchCase(SEARCH.case, SEARCH.settings, space=())
    watcher = Watcher()
    case.run(case.start(learning_rate=[4e-3, 4e-3, 1e30]), watcher)
    assert [row["is_frozen"] for row in watcher.rows] == [0, 0, 1, 0, 0, 0, 0, 0, 0]
    replaced = watcher.rows[5]
    assert replaced["parent"] in (0, 1)
    assert replaced["founder"] == replaced["parent"]


@pytest.fixture(scope="module")
def all_broken():
    state, saved = SEARCH.start(), []

    def after_epoch(state, report):
        broken(1, (0, 1, 2))(state, report)
        if report.epoch == 2:
            saved.append(search_tensors(state))

    watcher = Watcher(after_epoch)
    return SEARCH.run(state, watcher), watcher, state


def test_when_all_are_gone_it_stops_and_says_why(all_broken):
    ending, watcher, state = all_broken
    assert ending.kind == "diverged"
    assert ending.text.startswith(
        "by generation 1 every member had left the finite numbers: reconstruction (3 of 3). "
    )
    assert "training.learning_rate" in ending.text
    assert [report.epoch for report in watcher.epochs] == [0, 1, 2]
    assert [row["outcome"] for row in watcher.rows[3:]] == ["last"] * 3
    assert [row["is_frozen"] for row in watcher.rows[3:]] == [1] * 3
    assert bool(state.population.clocks.is_stopped.all())
    first, second = best_by_generation(watcher.rows)
    assert math.isfinite(first)
    assert math.isnan(second)


def test_the_best_of_before_is_kept(all_broken):
    _, watcher, state = all_broken
    models = state.archive.models
    found = {(row["founder"], row["best_score"], row["best_epoch"]) for row in watcher.rows[:3]}
    assert found == set(
        zip(models.members.tolist(), models.score.tolist(), models.epoch.tolist(), strict=True)
    )
    assert bool(models.weights.isfinite().all())
    assert len(state.archive.ranked()) == 3


def test_a_search_that_ended_so_ends_so_again_when_it_is_resumed(all_broken):
    ending, watcher, state = all_broken
    before, again = search_tensors(state), Watcher()
    # As it is read from a file, where a number that is not finite is null or NaN.
    last_row = json.loads(json.dumps(watcher.epochs[-1].values))
    past = Past(watcher.rows[:3], last_row)
    assert SEARCH.run(state, again, past=past) == ending
    assert again.epochs == []
    assert again.rows == watcher.rows[3:]
    assert same_bits(search_tensors(state), before) == []


def test_different_terms_are_counted():
    """Member 0 by its divergence, the others by their weights."""
    case = SearchCase(SEARCH.case, SEARCH.settings, space=())
    start = case.start(kl_input_scale=[float("inf"), 1e-5, 1e-5])
    start.population.weights[1:, 2] = NAN
    ending = case.run(start, Watcher())
    assert ending.kind == "diverged"
    assert "reconstruction (2 of 3), loss (1 of 3)" in ending.text


def test_frozen_members_are_the_first_to_go_in_halving():
    case = SEARCH.having(
        population=2, start="halving", halving_factor=2, halving_epochs=1, generations=1
    )
    start = case.start()
    start.population.weights[[0, 2], 2] = NAN
    watcher = Watcher()
    case.run(start, watcher)
    assert [row["outcome"] for row in watcher.rows[:4]] == ["dropped", "kept", "dropped", "kept"]
    assert [row["member"] for row in watcher.rows[4:]] == [1, 3]
