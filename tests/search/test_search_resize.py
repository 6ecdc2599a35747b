"""A population of another size in the middle of a search: who stays, who joins, as what."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from search_cases import SearchCase, Watcher, search_tensors
from training_cases import Case, same_bits

from lfads_torch.search.draws import Draws
from lfads_torch.search.kept import kept_of, since_when
from lfads_torch.search.resize import resize
from lfads_torch.search.settings import SearchSettings

SEARCH = SearchCase(
    Case(n_train=5, n_valid=3),
    SearchSettings(population=5, generations=3, generation_epochs=2, stop_generations=0),
)


def stopped(n_epochs: int):
    """The search after so many epochs; both ramps end in epoch 1, generation 0 after epoch 2."""
    state, watcher = SEARCH.start(), Watcher()
    SEARCH.run(state, watcher, wants_stop=lambda: len(watcher.epochs) >= n_epochs)
    return state


@pytest.fixture(scope="module")
def fourth():
    return stopped(4)


@pytest.fixture
def state(fourth):
    return deepcopy(fourth)


def rows_of(state, rows):
    own = search_tensors(state)
    return {name: value[rows] for name, value in own.items() if not name.startswith(("arch", "sl"))}


def test_the_worst_leave_and_the_others_are_untouched(state):
    scores = torch.tensor([3.0, 1.0, 4.0, 2.0, 5.0], dtype=torch.float64)
    state.population.clocks.smoothed = scores
    expected = rows_of(state, torch.tensor([0, 1, 3]))
    done = resize(state, SEARCH.plan(), 3, first_id=9)
    assert (done.rows, done.dropped, dict(done.added)) == ((0, 1, 3), (2, 4), {})
    assert same_bits(rows_of(state, slice(None)), expected) == []
    assert state.population.members.tolist() == [0, 1, 3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_leave_first(state, bad):
    scores = torch.tensor([9.0, bad, 1.0, 8.0, bad], dtype=torch.float64)
    state.population.clocks.smoothed = scores
    assert resize(state, SEARCH.plan(), 3, first_id=9).dropped == (1, 4)


def test_what_a_line_has_reached_stays_when_its_members_leave(state):
    """Also what it has reached in the generation that is not over yet."""
    best = state.archive.merged(state.population, state.founder)
    resize(state, SEARCH.plan(), 1, first_id=9)
    assert state.archive.ranked() == best.ranked()
    assert same_bits(state.archive.models.tensors(), best.models.tensors()) == []


def test_newcomers_are_copies_with_changed_hyperparameters(state):
    before, whole = rows_of(state, slice(None)), state.population.n_members
    done = resize(state, SEARCH.plan(), 8, first_id=7)
    assert state.population.members.tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert same_bits(rows_of(state, slice(0, whole)), before) == []
    assert list(done.added) == [7, 8, 9]
    moved = {each.field for each in SEARCH.space}
    copied = torch.tensor([before["members"].tolist().index(old) for old in done.added.values()])
    assert list(done.rows[whole:]) == copied.tolist()
    for name, value in rows_of(state, slice(whole, None)).items():
        same = torch.equal(value, before[name][copied])
        own = name.rpartition(".")[2]
        if own in moved:
            assert bool((value != before[name][copied]).any()), name
        elif name not in ("members", "clock.best_score", "clock.best_epoch"):
            assert same, name


def test_newcomers_draw_for_themselves_and_apart_from_the_generations_end(state):
    """With the same numbers a newcomer that loses would go the same way a second time."""
    plan, generation = SEARCH.plan(), state.generation
    apart = Draws(plan.seed, generation, (7, 8), occasion="resize.")
    usual = Draws(plan.seed, generation, (7, 8))
    first = apart.uniform("perturb.training.learning_rate", 4)
    assert not np.isclose(first, usual.uniform("perturb.training.learning_rate", 4)).any()
    assert not np.isclose(first[0], first[1]).any()


def test_a_newcomer_does_not_depend_on_how_many_come(state):
    other = deepcopy(state)
    one = resize(state, SEARCH.plan(), 6, first_id=7)
    three = resize(other, SEARCH.plan(), 8, first_id=7)
    assert one.added[7] == three.added[7]
    assert same_bits(rows_of(state, slice(0, 6)), rows_of(other, slice(0, 6))) == []


def test_a_frozen_member_is_not_copied(state):
    state.population.clocks.is_stopped = torch.tensor([True, True, False, True, True])
    done = resize(state, SEARCH.plan(), 40, first_id=7)
    assert set(done.added.values()) == {2}


def test_a_newcomers_best_does_not_pass_for_that_of_its_hyperparameters(state):
    """Its line's best was reached with the hyperparameters of its original."""
    best = state.archive.merged(state.population, state.founder)
    resize(state, SEARCH.plan(), 9, first_id=7)
    after = state.archive.merged(state.population, state.founder)
    expected = best.models.hyperparameters.as_dict()
    assert same_bits(after.models.hyperparameters.as_dict(), expected) == []


def test_in_the_first_generation_a_newcomer_is_its_own_parent():
    state = stopped(1)
    done = resize(state, SEARCH.plan(), 6, first_id=5)
    assert (int(state.parent[5]), int(state.founder[5])) == (5, done.added[5])


@pytest.mark.parametrize(("n_members", "method"), [(1, "population"), (7, "explore_only")])
def test_the_search_goes_on_to_its_end(state, n_members, method):
    case = SEARCH.having(population=n_members, method=method)
    watcher = Watcher()
    resize(state, case.plan(), n_members, first_id=5)
    ids = state.population.members.tolist()
    ending = case.run(state, watcher)
    assert ending.kind == "limit"
    assert [row["member"] for row in watcher.generations[-1].rows] == ids
    assert {row["founder"] for row in watcher.rows} <= set(range(5))


def test_the_same_size_changes_nothing(state):
    before = rows_of(state, slice(None))
    done = resize(state, SEARCH.plan(), 5, first_id=5)
    assert (done.rows, done.dropped, dict(done.added)) == ((0, 1, 2, 3, 4), (), {})
    assert same_bits(rows_of(state, slice(None)), before) == []


def test_a_newcomer_has_no_best_before_an_epoch_of_its_own(state):
    """Else its original's former best would be kept as that of the newcomer's hyperparameters."""
    clocks = state.population.clocks
    assert bool((clocks.best_epoch >= 0).all())
    done = resize(state, SEARCH.plan(), 9, first_id=7)
    clocks, n_before = state.population.clocks, 5
    assert clocks.best_epoch[n_before:].tolist() == [-1] * 4
    assert clocks.best_score[n_before:].tolist() == [float("inf")] * 4
    clocks.best_epoch[:n_before] += 1  # every original gets better
    clocks.best_score[:n_before] -= 1.0
    archive = state.archive.merged(state.population, state.founder)
    slots = kept_of(state, archive, since_when(state, [])).slot.tolist()
    assert set(slots) <= set(range(n_before))
    assert not set(slots) & set(done.added)
