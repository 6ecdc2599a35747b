"""The numbers of a generation's end: each belongs to a seed, a site, a generation and a member."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from lfads_torch.search.draws import Draws
from lfads_torch.training.streams import Streams


def test_a_members_numbers_do_not_depend_on_who_else_is_there():
    many, few = Draws(3, 2, (0, 1, 4, 9)), Draws(3, 2, (9, 4))
    both = many.uniform("a", 7)
    assert np.array_equal(few.uniform("a", 7), both[[3, 2]])
    assert np.array_equal(many.of(np.array([3, 2])).uniform("a", 7), both[[3, 2]])
    assert many.of(np.array([], dtype=np.int64)).n_members == 0


def test_seeds_sites_generations_and_members_have_numbers_of_their_own():
    drawn = [
        Draws(seed, generation, (member,)).uniform(site, 1).item()
        for seed in (0, 1)
        for site in ("a", "b")
        for generation in (-2, -1, 0, 1)
        for member in (0, 1, 7)
    ]
    assert len(set(drawn)) == len(drawn)


def test_numbers_are_the_streams_words():
    words = Streams(5, torch.tensor([3])).bits("search.a", 2 + 65536, None, 4)[0, 0].tolist()
    expected = [(word + 0.5) / 2**32 for word in words]
    assert Draws(5, 2, (3,)).uniform("a", 4).tolist() == [expected]


def test_uniform_numbers_are_uniform_and_open():
    drawn = Draws(1, 0, (0,)).uniform("a", 100_000)[0]
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    assert stats.kstest(drawn, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [2, 3, 5])
def test_every_choice_is_as_likely_as_any_other(n):
    drawn = np.concatenate([Draws(s, 0, tuple(range(20))).below("a", n) for s in range(20)])
    counts = np.bincount(drawn, minlength=n)
    assert len(counts) == n
    assert stats.chisquare(counts).pvalue > 0.01
    assert Draws(0, 0, (0, 1, 5)).below("a", 1).tolist() == [0, 0, 0]


def test_orders_are_permutations_and_all_equally_likely():
    orders = Counter(tuple(Draws(s, 0, (2, 5, 6)).order("a").tolist()) for s in range(180))
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 0.01
