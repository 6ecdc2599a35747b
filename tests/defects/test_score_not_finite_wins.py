"""In a peer a member whose score is NaN wins about half of its tournaments."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.search.draws import Draws
from lfads_torch.search.select import choose_parents, selection_rule
from lfads_torch.search.settings import SearchSettings


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("selection", ["tournament", "against_random", "truncation"])
def test_it_loses_every_time_and_nobody_takes_from_it(selection, score):
    rule = selection_rule(SearchSettings(selection=selection))
    scores = np.array([0.3, score, 0.1, -0.2, 0.4, 0.25])
    n_lost = 0
    for seed in range(25):
        parents = choose_parents(rule, scores, Draws(seed, 0, tuple(range(6))))
        assert 1 not in parents
        n_lost += int(parents[1] != 1)
    assert n_lost == 25
