"""Exploit: which member each slot takes its model from for the next generation.

A rule sees scores (lower is better) and random numbers, and keeps nothing between generations.
Members without a finite score always lose, whatever the rule: `choose_parents` sees to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DivergenceError, SettingsError
from lfads_torch.plugins import load_plugin

if TYPE_CHECKING:
    from lfads_torch.search.draws import Draws
    from lfads_torch.search.settings import SearchSettings

__all__ = [
    "SELECTION_RULES",
    "AgainstRandom",
    "SelectionRule",
    "Tournament",
    "Truncation",
    "choose_parents",
    "selection_rule",
]

Scores = NDArray[np.float64]
Parents = NDArray[np.int64]


class SelectionRule(ABC):
    """Who takes from whom. A plug-in derives from this and writes `parents`."""

    @classmethod
    def from_settings(cls, settings: SearchSettings) -> Self:
        """The rule as the settings want it; a rule with nothing to set need not write this."""
        return cls()

    @abstractmethod
    def parents(self, scores: Scores, draws: Draws) -> Parents:
        """Position of the parent of every member; its own where it stays.

        `scores` [P]: lower is better, +inf where a member has none.
        """


class Tournament(SelectionRule):
    """Binary tournament: random pairs; the loser restarts from the winner.

    With an odd number one member has no opponent and stays. Equal scores change nothing.
    Source: Jaderberg et al. 2017 (arXiv:1711.09846), as in AutoLFADS.
    """

    def parents(self, scores: Scores, draws: Draws) -> Parents:
        parents = np.arange(len(scores))
        order = draws.order("pairs")
        for a, b in zip(order[0::2], order[1::2], strict=False):
            if scores[a] != scores[b]:
                winner, loser = (a, b) if scores[a] < scores[b] else (b, a)
                parents[loser] = winner
        return parents


class AgainstRandom(SelectionRule):
    """Each member meets one other member at random, and takes from it if that one is better."""

    def parents(self, scores: Scores, draws: Draws) -> Parents:
        own = np.arange(len(scores))
        if len(scores) == 1:
            return own
        opponent = draws.below("opponent", len(scores) - 1)
        opponent = opponent + (opponent >= own)
        return np.where(scores[opponent] < scores[own], opponent, own)


class Truncation(SelectionRule):
    """The worst share of the population takes from members of the best share, drawn at random.

    The share is rounded down, to one member at least.
    """

    def __init__(self, share: float = 0.2) -> None:
        self._share = share

    @classmethod
    def from_settings(cls, settings: SearchSettings) -> Self:
        return cls(settings.truncation_share)

    def parents(self, scores: Scores, draws: Draws) -> Parents:
        parents = np.arange(len(scores))
        if len(scores) == 1:
            return parents
        # A share of .29 of 100 is 29, though the product of the two floats is below it.
        n = max(1, int(self._share * len(scores) + 1e-9))
        ranked = np.argsort(scores, kind="stable")
        best, worst = ranked[:n], ranked[-n:]
        drawn = best[draws.below("best", n)]
        is_better = scores[drawn] < scores
        parents[worst] = np.where(is_better, drawn, parents)[worst]
        return parents


def choose_parents(rule: SelectionRule, scores: Scores, draws: Draws) -> Parents:
    """What the rule says; members that would take from one without a finite score are given
    a random finite member instead.

    Raises DivergenceError if no score is finite, SettingsError if the rule's answer is no parents.
    """
    is_finite = np.isfinite(scores)
    if not is_finite.any():
        raise DivergenceError("no member of the population has a finite score")
    parents = _checked(rule, rule.parents(np.where(is_finite, scores, np.inf), draws), len(scores))
    finite = np.flatnonzero(is_finite)
    anyone = finite[draws.below("anyone", len(finite))]
    return np.where(is_finite[parents], parents, anyone)


def _checked(rule: SelectionRule, parents: Parents, n: int) -> Parents:
    """What the rule gave, where it is a position for every member."""
    found = np.asarray(parents)
    is_position = found.shape == (n,) and np.issubdtype(found.dtype, np.integer)
    if not is_position or not bool(((found >= 0) & (found < n)).all()):
        raise SettingsError(
            f"search.selection: {type(rule).__name__} gave {np.array2string(found, threshold=9)} "
            f"as parents; {n} whole numbers from 0 to {n - 1} are needed, the position of each "
            "member's parent. Mend its `parents`."
        )
    return found


_HERE = "lfads_torch.search.select"
SELECTION_RULES: Mapping[str, str] = MappingProxyType(
    {
        "tournament": f"{_HERE}:Tournament",
        "against_random": f"{_HERE}:AgainstRandom",
        "truncation": f"{_HERE}:Truncation",
    }
)


def selection_rule(settings: SearchSettings) -> SelectionRule:
    """The rule of the settings: a name of ours, or a plug-in's. Raises SettingsError."""
    found = load_plugin(
        settings.selection,
        SelectionRule,
        what="search.selection",
        ours=SELECTION_RULES,
        entry_points="lfads_torch.selection_rules",
    )
    return found.from_settings(settings)
