"""The history of a search as arrays over generations and members, with its lines traced.

Axes: G generations in order (rounds of halving first, negative), M ids of members in order. A
member that a generation did not have is marked so; its numbers are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Best", "SearchHistory", "is_search", "search_history"]

# JSON values: rows of history.csv, run.json; docs/formats.md describes them.
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Best:
    """Where the best score of the whole search was."""

    generation: int
    slot: int  # the member's id at that time
    score: float
    epoch: int | None
    founder: int | None  # where its line began, by which `infer --member` names it


@dataclass(frozen=True, kw_only=True)
class SearchHistory:
    """Every member of every generation; `parent` and `winner` are positions along M."""

    generations: NDArray[np.int64]  # [G]
    members: NDArray[np.int64]  # [M] ids
    is_there: NDArray[np.bool_]  # [G, M]
    parent: NDArray[np.int64]  # [G, M], -1: none on record
    founder: NDArray[np.int64]  # [G, M] ids, -1 where not there
    score: NDArray[np.float64]  # [G, M]
    is_frozen: NDArray[np.bool_]  # [G, M]
    can_be_best: NDArray[np.bool_]  # [G, M]: the ramps are over
    values: Mapping[str, NDArray[np.float64]]  # searched setting -> [G, M]
    best: Best | None
    winner: NDArray[np.int64]  # [G] the best state's ancestor in each generation, -1: none

    @property
    def names(self) -> tuple[str, ...]:
        """The searched settings, by their dotted names."""
        return tuple(self.values)

    @property
    def founders_alive(self) -> list[int]:
        """Founders whose lines are in the last generation, the largest line first."""
        last = self.founder[-1][self.is_there[-1]]
        ids, sizes = np.unique(last, return_counts=True)
        return [int(ids[k]) for k in np.lexsort((ids, -sizes))]

    def leads_to_the_end(self) -> NDArray[np.bool_]:
        """Which states [G, M] are an ancestor of a member of the last generation, or such one."""
        leads = np.zeros_like(self.is_there)
        leads[-1] = self.is_there[-1]
        for row in range(len(self.generations) - 1, 0, -1):
            parents = self.parent[row][leads[row]]
            leads[row - 1, parents[parents >= 0]] = True
        return leads


def is_search(run: Json, history: Sequence[Json]) -> bool:
    """Whether a run is a search, as its record or its history says."""
    return bool(run.get("search")) or bool(history)


def search_history(history: Sequence[Json], run: Json) -> SearchHistory:
    """Arrays of the rows of history.csv, of which there must be at least one."""
    table = _Table(history)
    is_there = table.numbers("generation", missing=np.nan) == table.generations[:, None]
    score = table.numbers("score")
    founder = table.whole("founder")
    parent = _parents(table, is_there)
    can_be_best = np.isfinite(table.numbers("best_score"))
    best = _best_on_record(run) or _lowest(table, score, can_be_best)
    return SearchHistory(
        generations=table.generations,
        members=table.members,
        is_there=is_there,
        parent=parent,
        founder=founder,
        score=score,
        is_frozen=table.numbers("is_frozen", missing=0.0) > 0,
        can_be_best=can_be_best,
        values={name: table.numbers(name) for name in table.searched} or _listed(table, run),
        best=best,
        winner=_ancestors(table, best, parent),
    )


class _Table:
    """Columns of the history as arrays [G, M]."""

    def __init__(self, history: Sequence[Json]) -> None:
        self.generations = np.unique([int(row["generation"]) for row in history])
        self.members = np.unique([int(row["member"]) for row in history])
        self._history = history
        self._rows = np.searchsorted(self.generations, [row["generation"] for row in history])
        self._columns = np.searchsorted(self.members, [row["member"] for row in history])
        self.searched = list(dict.fromkeys(name for row in history for name in row if "." in name))

    def numbers(self, name: str, *, missing: float = np.nan) -> NDArray[np.float64]:
        """One column; `missing` where it is empty, not finite, or the member was not there."""
        values = np.full((len(self.generations), len(self.members)), missing)
        found = [row.get(name) for row in self._history]
        column = np.array([missing if each is None else each for each in found], dtype=np.float64)
        values[self._rows, self._columns] = np.where(np.isfinite(column), column, missing)
        return values

    def whole(self, name: str) -> NDArray[np.int64]:
        return self.numbers(name, missing=-1.0).astype(np.int64)

    def position(self, member: int) -> int:
        """Of an id along M; -1 if there is no such member."""
        found = np.flatnonzero(self.members == member)
        return int(found[0]) if len(found) else -1


def _listed(table: _Table, run: Json) -> dict[str, NDArray[np.float64]]:
    """Of a list of given settings, which run.json holds by member: nothing moves them."""
    listed = (run.get("search") or {}).get("values") or ()
    members = table.numbers("member")
    names = dict.fromkeys(name for given in listed for name in given)
    values = {name: np.full(members.shape, np.nan) for name in names}
    for member, given in enumerate(listed):
        for name, value in given.items():
            values[name][members == member] = float(value)
    return values


def _parents(table: _Table, is_there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions of parents in the generation before; -1 where that or the parent is missing."""
    ids = table.whole("parent")
    at = np.searchsorted(table.members, ids).clip(max=len(table.members) - 1)
    is_known = is_there & (table.members[at] == ids)
    is_known[0] = False
    is_known[1:] &= (np.diff(table.generations) == 1)[:, None]
    above = np.roll(is_there, 1, axis=0)
    is_known &= np.take_along_axis(above, at, axis=1)
    return np.where(is_known, at, -1).astype(np.int64)


def _best_on_record(run: Json) -> Best | None:
    best = (run.get("search") or {}).get("best") or {}
    if any(best.get(key) is None for key in ("generation", "slot", "score")):
        return None
    return Best(
        generation=int(best["generation"]),
        slot=int(best["slot"]),
        score=float(best["score"]),
        epoch=None if best.get("epoch") is None else int(best["epoch"]),
        founder=None if best.get("member") is None else int(best["member"]),
    )


def _lowest(
    table: _Table, score: NDArray[np.float64], can_be_best: NDArray[np.bool_]
) -> Best | None:
    """Of a search still going on: the lowest score of those at the ends of generations."""
    counted = np.where(can_be_best, score, np.nan)
    if not np.isfinite(counted).any():
        return None
    row, column = np.unravel_index(int(np.nanargmin(counted)), counted.shape)
    return Best(
        generation=int(table.generations[row]),
        slot=int(table.members[column]),
        score=float(counted[row, column]),
        epoch=None,
        founder=int(table.whole("founder")[row, column]),
    )


def _ancestors(table: _Table, best: Best | None, parent: NDArray[np.int64]) -> NDArray[np.int64]:
    winner = np.full(len(table.generations), -1, dtype=np.int64)
    if best is None or best.generation not in table.generations:
        return winner
    row = int(np.searchsorted(table.generations, best.generation))
    column = table.position(best.slot)
    while row >= 0 and column >= 0:
        winner[row] = column
        row, column = row - 1, int(parent[row, column])
    return winner
