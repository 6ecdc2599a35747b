"""Lines traced through the history, and what they can tell about hyperparameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated_search import simulated_search

from lfads_torch.analysis.search_history import is_search, search_history
from lfads_torch.analysis.search_sensitivity import (
    associate,
    moves,
    moves_association,
    values_association,
)

RATE = "training.learning_rate"


def line(generation: int, member: int, parent: int, founder: int, **values: object) -> dict:
    row = {"generation": generation, "member": member, "parent": parent, "founder": founder,
           "score": 1.0, "best_score": 1.0, "is_frozen": 0}  # fmt: skip
    return row | values


HISTORY = [  # ids 3, 5, 9; in generation 1 slot 5 takes from 9, in generation 2 slot 3 from 5
    line(0, 3, 3, 3, score=0.9), line(0, 5, 5, 5, score=None, is_frozen=1),
    line(0, 9, 9, 9, score=0.8),
    line(1, 3, 3, 3, score=0.7), line(1, 5, 9, 9, score=0.5), line(1, 9, 9, 9, score=0.6),
    line(2, 3, 5, 9, score=0.4), line(2, 5, 5, 9, score=0.45), line(2, 9, 9, 9, score=0.55),
]  # fmt: skip


def test_parents_are_positions_and_the_winner_is_traced_back():
    history = search_history(HISTORY, {})
    np.testing.assert_array_equal(history.members, [3, 5, 9])
    np.testing.assert_array_equal(history.parent, [[-1, -1, -1], [0, 2, 2], [1, 1, 2]])
    np.testing.assert_array_equal(history.winner, [2, 1, 0])
    assert (history.best.slot, history.best.generation, history.best.founder) == (3, 2, 9)
    assert history.founders_alive == [9]
    np.testing.assert_array_equal(
        history.leads_to_the_end(),
        [[False, False, True], [False, True, True], [True, True, True]],
    )
    assert history.is_frozen.sum() == 1


def test_the_record_decides_where_the_best_was():
    best = {"member": 3, "epoch": 20, "generation": 1, "slot": 3, "score": 0.3}
    history = search_history(HISTORY, {"search": {"best": best}})
    np.testing.assert_array_equal(history.winner, [0, 0, -1])
    assert history.best.epoch == 20
    assert search_history(HISTORY, {"search": {"best": None}}).best.slot == 3


def test_scores_before_the_ramps_end_are_never_the_best():
    early = [row | {"best_score": None} for row in HISTORY]
    history = search_history(early, {})
    assert history.best is None
    np.testing.assert_array_equal(history.winner, [-1, -1, -1])


def test_the_order_of_the_rows_does_not_matter():
    shuffled = [HISTORY[k] for k in np.random.default_rng(0).permutation(len(HISTORY))]
    first, second = search_history(HISTORY, {}), search_history(shuffled, {})
    for name in ("parent", "founder", "winner", "is_there"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_gap_in_the_history_cuts_the_lines():
    history = search_history([row for row in HISTORY if row["generation"] != 1], {})
    assert (history.parent == -1).all()
    np.testing.assert_array_equal(history.winner, [-1, 0])


def test_members_that_halving_dropped_are_not_there():
    made = simulated_search(3, 2, halving_rounds=1)
    history = search_history(made.history, made.run)
    np.testing.assert_array_equal(history.is_there.sum(axis=1), [12, 3, 3])
    np.testing.assert_array_equal(history.generations, [-1, 0, 1])
    assert (history.parent[1][history.is_there[1]] == np.flatnonzero(history.is_there[1])).all()


def test_the_winner_descends_from_the_founder_on_record():
    for seed in range(5):
        made = simulated_search(7, 12, seed=seed)
        history = search_history(made.history, made.run)
        rows = np.flatnonzero(history.winner >= 0)
        founders = history.founder[rows, history.winner[rows]]
        assert set(founders) == {made.run["search"]["best"]["member"]}
        assert history.members[history.winner[0]] == founders[0]


def test_a_run_is_a_search_by_its_record_or_its_history():
    assert is_search({"search": {"method": "population"}}, [])
    assert is_search({}, HISTORY)
    assert not is_search({"search": {}}, [])


def test_one_group_gives_the_rank_correlation_of_scipy():
    rng = np.random.default_rng(0)
    first = np.round(rng.normal(size=33), 1)  # with ties
    second = first + rng.normal(size=33)
    found = associate(first, second, np.zeros(33, dtype=np.int64), rng)
    assert found.correlation == pytest.approx(spearmanr(first, second).statistic, rel=1e-12)
    assert found.stands_out
    assert found.n == 33


def test_differences_between_groups_do_not_count():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(8), 5)
    found = associate(group + rng.normal(0, 0.1, 40), group + rng.normal(0, 0.1, 40), group, rng)
    assert abs(found.correlation) < 0.5
    assert not found.stands_out


def test_chance_leaves_its_band_one_time_in_twenty():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(3), 5)
    outside = sum(
        associate(rng.normal(size=15), rng.normal(size=15), group, rng).stands_out
        for _ in range(400)
    )
    assert outside < 20 + 4 * np.sqrt(400 * 0.05 * 0.95)
    assert outside > 5


@pytest.mark.parametrize(
    ("n", "value", "group"), [(5, 1.0, 0.0), (9, 0.0, 0.0), (9, 1.0, 1.0)], ids=range(3)
)
def test_too_few_or_constant_values_give_nothing(n, value, group):
    """Five alone; nine that are all the same; nine in groups of one."""
    rng = np.random.default_rng(0)
    numbers = np.arange(n, dtype=np.float64)
    groups = (numbers * group).astype(np.int64)
    assert associate(value * numbers, rng.normal(size=n), groups, rng) is None


def test_a_move_is_compared_with_the_parents_own_continuation():
    rows = [
        line(0, 0, 0, 0, score=0.9, **{RATE: 1e-3}),
        line(0, 1, 1, 1, score=0.8, **{RATE: 2e-3}),
        line(0, 2, 2, 2, score=0.7, **{RATE: 2e-3}),
        line(1, 0, 1, 1, score=0.5, **{RATE: 4e-3}),  # copied from 1, doubled
        line(1, 1, 1, 1, score=0.6, **{RATE: 2e-3}),  # the same state, unchanged
        line(1, 2, 2, 2, score=0.4, **{RATE: 1e-3}),  # went on with half: no such continuation
    ]
    moved = moves(search_history(rows, {}), RATE)
    np.testing.assert_allclose(moved.log_factor, [np.log(2), -np.log(2)])
    np.testing.assert_allclose(moved.change, [0.5 - 0.6, 0.4 - 0.7])
    assert moved.group[0] != moved.group[1]


def test_moves_without_finite_scores_or_at_zero_are_left_out():
    rows = [
        line(0, 0, 0, 0, **{RATE: 1e-3}), line(0, 1, 1, 1, **{RATE: 0.0}),
        line(1, 0, 0, 0, score=None, **{RATE: 2e-3}), line(1, 1, 1, 1, **{RATE: 1e-3}),
    ]  # fmt: skip
    assert moves(search_history(rows, {}), RATE).log_factor.size == 0


def test_a_hyperparameter_that_matters_stands_out_and_a_lineage_alone_does_not():
    """Larger rates score worse by construction; the decay rides along with one good line."""
    rng = np.random.default_rng(3)
    rows, rate = [], {m: 1e-3 for m in range(10)}
    decay = {m: 1e-2 if m < 5 else 1e-3 for m in range(10)}
    for generation in range(8):
        for m in range(10):
            score = 1.0 + 0.1 * np.log(rate[m] / 1e-3) - 0.5 * (m < 5) + rng.normal(0, 0.005)
            values = {RATE: rate[m], "training.weight_decay": decay[m]}
            rows.append(line(generation, m, m, m, score=score, **values))
            rate[m] *= np.exp(rng.uniform(-0.3, 0.3))
            decay[m] *= np.exp(rng.uniform(-0.3, 0.3))
    history = search_history(rows, {})
    by_rate = moves_association(moves(history, RATE), rng)
    by_decay = moves_association(moves(history, "training.weight_decay"), rng)
    assert by_rate.stands_out
    assert by_rate.correlation > 0.6
    assert abs(by_decay.correlation) < 0.35
    assert values_association(history, "training.weight_decay", rng).correlation < -0.6
