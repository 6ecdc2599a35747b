"""Who takes from whom: each rule against its definition, and scores that are no numbers."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from lfads_torch.errors import DivergenceError, SettingsError
from lfads_torch.search.draws import Draws
from lfads_torch.search.select import (
    AgainstRandom,
    SelectionRule,
    Tournament,
    Truncation,
    choose_parents,
    selection_rule,
)
from lfads_torch.search.settings import SearchSettings

INF, NAN = float("inf"), float("nan")
RULES = [Tournament(), AgainstRandom(), Truncation(0.4)]


@dataclass
class Given:
    """Draws that a test decides, by site."""

    sites: dict[str, np.ndarray] = field(default_factory=dict)

    def order(self, site: str) -> np.ndarray:
        return self.sites[site]

    def below(self, site: str, n_choices: int) -> np.ndarray:
        return self.sites[site]


@dataclass
class Quick:
    """Random draws that cost less than the search's own."""

    n_members: int
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def order(self, site: str) -> np.ndarray:
        return self.random.permutation(self.n_members)

    def below(self, site: str, n_choices: int) -> np.ndarray:
        return self.random.integers(0, n_choices, self.n_members)


def draws(n: int, seed: int = 0) -> Draws:
    return Draws(seed, 0, tuple(range(n)))


def slow_tournament(scores, order) -> list[int]:
    parents = list(range(len(scores)))
    for k in range(len(scores) // 2):
        a, b = order[2 * k], order[2 * k + 1]
        if scores[a] < scores[b]:
            parents[b] = a
        if scores[b] < scores[a]:
            parents[a] = b
    return parents


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_tournament_replaces_the_loser_of_every_pair(n):
    """All orders of members and all scores with ties and +inf, up to five members."""
    values = [1.0, 2.0, INF] if n > 3 else [-1.0, 0.0, 1.0, INF]
    for order in permutations(range(n)):
        given = Given({"pairs": np.array(order)})
        for scores in product(values, repeat=n) if n < 5 else [(3.0, 1.0, 1.0, INF, 2.0)]:
            found = Tournament().parents(np.array(scores), given)
            assert found.tolist() == slow_tournament(scores, order)


def test_every_pair_meets_as_often_as_any_other_and_nobody_sits_out_more_often():
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    met, idle = Counter(), Counter()
    for seed in range(120):
        parents = Tournament().parents(scores, draws(5, seed))
        losers = np.flatnonzero(parents != np.arange(5))
        assert len(losers) == 2
        met.update((int(parents[p]), int(p)) for p in losers)
        idle.update(set(range(5)) - set(losers.tolist()) - set(parents[losers].tolist()))
    assert len(met) == 10
    assert stats.chisquare([idle[p] for p in range(5)]).pvalue > 0.01
    expected = 120 * 2 / 10
    assert all(abs(n - expected) < 4.0 * expected**0.5 for n in met.values())


@pytest.mark.parametrize("n", [2, 3, 5])
def test_each_meets_one_random_other(n):
    """All opponents: opponent k of member p is the k-th of the others."""
    scores = np.array([2.0, 1.0, 1.0, INF, 0.5])[:n]
    for opponents in product(range(n - 1), repeat=n):
        found = AgainstRandom().parents(scores, Given({"opponent": np.array(opponents)}))
        for p, k in enumerate(opponents):
            other = [q for q in range(n) if q != p][k]
            assert found[p] == (other if scores[other] < scores[p] else p)


def test_who_is_alone_meets_nobody():
    for rule in RULES:
        assert choose_parents(rule, np.array([4.0]), draws(1)).tolist() == [0]


@pytest.mark.parametrize(
    ("n", "share", "n_replaced"),
    [(10, 0.2, 2), (5, 0.2, 1), (4, 0.2, 1), (2, 0.1, 1), (7, 0.5, 3), (100, 0.29, 29)],
)
def test_truncation_replaces_the_worst_share_from_the_best(n, share, n_replaced):
    """A share of less than one member is one; .29 of 100 is 29, whatever floats make of it."""
    scores = np.random.default_rng(n).permutation(n).astype(float)
    sources, quick = Counter(), Quick(n)
    for _ in range(300):
        parents = Truncation(share).parents(scores, quick)
        replaced = np.flatnonzero(parents != np.arange(n))
        assert sorted(scores[replaced]) == list(range(n - n_replaced, n))
        sources.update(scores[parents[replaced]].astype(int).tolist())
    assert sorted(sources) == list(range(n_replaced))
    # 300 draws for every replaced member, from as many of the best.
    assert all(abs(k - 300) < 4.0 * 300**0.5 for k in sources.values())


def test_truncation_changes_nothing_among_equals():
    scores = np.full(6, 2.0)
    assert Truncation(0.5).parents(scores, draws(6)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_score_that_is_not_finite_always_loses(rule, n):
    """Every pattern of NaN, +inf and -inf that leaves one finite score."""
    quick = Quick(n)
    for pattern in product([1.0, NAN, INF, -INF], repeat=n):
        scores = np.array(pattern) + np.arange(n)
        is_finite = np.isfinite(scores)
        if not is_finite.any():
            continue
        for _ in range(3):
            parents = choose_parents(rule, scores, quick)
            assert is_finite[parents].all()
            # So those without a score are all replaced, and by nobody worse than before.
            better = is_finite & (scores[parents] <= np.where(is_finite, scores, INF))
            assert better[is_finite].all()


def test_both_of_a_pair_restart_from_a_random_finite_member():
    scores = np.array([NAN, 3.0, -INF, 4.0, 5.0])
    pairs = np.array([0, 2, 1, 3, 4])  # the two without a score meet; 1 meets 3; 4 nobody
    found = Counter()
    for seed in range(90):
        given = Given({"pairs": pairs, "anyone": draws(5, seed).below("anyone", 3)})
        parents = choose_parents(Tournament(), scores, given)
        assert parents[[1, 3, 4]].tolist() == [1, 1, 4]
        found.update(parents[[0, 2]].tolist())
    assert sorted(found) == [1, 3, 4]
    assert stats.chisquare(list(found.values())).pvalue > 0.01


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("scores", [[NAN], [INF, -INF], [NAN, INF, -INF, NAN, NAN]], ids=str)
def test_without_any_finite_score_it_says_so(rule, scores):
    with pytest.raises(DivergenceError, match="no member of the population has a finite score"):
        choose_parents(rule, np.array(scores), draws(len(scores)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tournament", Tournament), ("against_random", AgainstRandom), ("truncation", Truncation)],
)
def test_settings_name_the_rules(name, kind):
    assert type(selection_rule(SearchSettings(selection=name))) is kind


def test_truncations_share_is_the_settings():
    rule = selection_rule(SearchSettings(selection="truncation", truncation_share=0.5))
    parents = rule.parents(np.arange(8.0), draws(8))
    assert (parents != np.arange(8)).tolist() == [False] * 4 + [True] * 4


class FromTheFirst(SelectionRule):
    """As a user may write one: everybody takes from the first, or what a test wants."""

    answer: object = None

    def parents(self, scores, draws):
        return np.zeros(len(scores), dtype=int) if self.answer is None else np.array(self.answer)


@pytest.fixture
def plugin(monkeypatch) -> str:
    monkeypatch.setitem(sys.modules, "selection_of_a_user", sys.modules[__name__])
    return "selection_of_a_user:FromTheFirst"


def test_a_rule_of_the_users_own_is_used_and_yet_no_dead_member_is_copied(plugin):
    rule = selection_rule(SearchSettings(selection=plugin))
    assert choose_parents(rule, np.array([2.0, 1.0, 3.0]), draws(3)).tolist() == [0, 0, 0]
    assert choose_parents(rule, np.array([NAN, 1.0, 3.0]), draws(3))[0] in (1, 2)
    assert 0 not in choose_parents(rule, np.array([NAN, 1.0, 3.0]), draws(3))


@pytest.mark.parametrize("where", ["tournement", "selection_of_a_user:SearchSettings", "selection"])
def test_a_rule_that_is_none_is_refused(plugin, where):
    with pytest.raises(SettingsError, match=r"^search\.selection: "):
        selection_rule(SearchSettings(selection=where))


@pytest.mark.parametrize(
    "answer", [[0, 1], [0, 1, 3], [-1, 0, 1], [0.0, 1.0, 2.0], [[0, 1, 2]], [True] * 3], ids=str
)
def test_an_answer_that_is_no_parents_is_refused(answer):
    rule = FromTheFirst()
    rule.answer = answer
    with pytest.raises(SettingsError, match=r"FromTheFirst gave .* 3 whole numbers from 0 to 2"):
        choose_parents(rule, np.array([1.0, 2.0, 3.0]), draws(3))
