"""What every selection rule must do."""

from __future__ import annotations

import numpy as np

from lfads_torch.search.draws import Draws
from lfads_torch.search.select import SelectionRule, choose_parents
from lfads_torch.testing.drawn import require

__all__ = ["SelectionContract"]


class SelectionContract:
    """Derive `class TestMyRule(SelectionContract)` and write `rule`."""

    populations = (1, 2, 3, 33)

    def rule(self) -> SelectionRule:
        raise NotImplementedError("give the rule that is to be tested")

    def draws(self, n_members: int, generation: int = 0) -> Draws:
        return Draws(0, generation, tuple(range(n_members)))

    def scores(self, n_members: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.random.default_rng(n_members).normal(size=n_members)

    def test_every_member_has_a_parent(self) -> None:
        for n in self.populations:
            parents = self.rule().parents(self.scores(n), self.draws(n))
            require(parents.shape == (n,), "one parent for every member")
            require(np.issubdtype(parents.dtype, np.integer), "positions, whole numbers")
            require(bool(((parents >= 0) & (parents < n)).all()), f"positions 0..{n - 1}")

    def test_nobody_takes_from_a_worse_member(self) -> None:
        for n in self.populations:
            for generation in range(5):
                scores = self.scores(n)
                parents = self.rule().parents(scores, self.draws(n, generation))
                require(bool((scores[parents] <= scores).all()), "lower scores are better")

    def test_the_best_member_stays(self) -> None:
        for n in self.populations:
            scores = self.scores(n)
            parents = self.rule().parents(scores, self.draws(n))
            require(int(parents[scores.argmin()]) == int(scores.argmin()), "the best one stays")

    def test_members_without_a_score_lose(self) -> None:
        for n in self.populations:
            scores = self.scores(n)
            scores[: n // 2] = np.nan
            parents = choose_parents(self.rule(), scores, self.draws(n))
            require(bool(np.isfinite(scores[parents]).all()), "parents with a finite score")

    def test_scores_stay_and_draws_decide(self) -> None:
        scores = self.scores(33)
        kept = scores.copy()
        first, second = (self.rule().parents(scores, self.draws(33)) for _ in range(2))
        require(bool((scores == kept).all()), "scores must not be changed")
        require(bool((first == second).all()), "the same draws give the same parents")
