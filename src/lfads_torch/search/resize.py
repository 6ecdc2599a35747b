"""A population of another size: the worst members leave, or copies of random ones join.

Ids are permanent: those who stay keep theirs, and who joins gets one that nobody had before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lfads_torch.search.draws import Draws
from lfads_torch.search.run import perturb_members

if TYPE_CHECKING:
    from lfads_torch.search.run import SearchPlan
    from lfads_torch.search.state import SearchState

__all__ = ["Resizing", "resize"]


@dataclass(frozen=True)
class Resizing:
    """What became of the members: ids of those who left, and of newcomers with their originals."""

    rows: tuple[int, ...]  # position before, of each member now; of a newcomer its original's
    dropped: tuple[int, ...] = ()
    added: Mapping[int, int] = field(default_factory=dict)  # id -> id of the member it copies


def resize(state: SearchState, plan: SearchPlan, n_members: int, *, first_id: int) -> Resizing:
    """Make `state` a search of `n_members`, in place, in whatever epoch it is.

    Fewer: the worst smoothed scores leave, those that are not finite first, then the later ones
    in the order. More: each newcomer, with ids from `first_id` on, is a copy of a random member
    that is not frozen, with changed hyperparameters and no best of its own yet. What any line has
    reached so far is kept.
    """
    # First of all: a member's best belongs to the hyperparameters that it has now.
    state.archive = state.archive.merged(state.population, state.founder)
    n_before = state.population.n_members
    if n_members < n_before:
        return _drop(state, n_members)
    new = tuple(range(first_id, first_id + n_members - n_before))
    return _add(state, plan, new)


def _drop(state: SearchState, n_members: int) -> Resizing:
    population = state.population
    scores = population.clocks.smoothed.cpu().numpy()
    ranked = np.argsort(np.where(np.isfinite(scores), scores, np.inf), kind="stable")
    kept, dropped = np.sort(ranked[:n_members]), np.sort(ranked[n_members:])
    ids = population.members.tolist()
    _take(state, kept)
    return Resizing(rows=tuple(kept.tolist()), dropped=tuple(ids[p] for p in dropped))


def _add(state: SearchState, plan: SearchPlan, new: tuple[int, ...]) -> Resizing:
    population, n_before = state.population, state.population.n_members
    before = population.members.tolist()
    is_frozen = population.clocks.is_stopped.cpu().numpy()
    candidates = np.flatnonzero(~is_frozen) if not is_frozen.all() else np.arange(n_before)
    # Of their own: the same members draw again, at other sites, when this generation ends.
    draws = Draws(plan.seed, state.generation, (*before, *new), occasion="resize.")
    newcomers = n_before + np.arange(len(new))
    chosen = draws.of(newcomers).below("copied", len(candidates))
    copied = candidates[chosen]
    rows = np.concatenate([np.arange(n_before), copied])
    _take(state, rows)
    members = state.population.members
    members[newcomers] = torch.as_tensor(new, dtype=members.dtype, device=members.device)
    if state.generation == plan.schedule.first_generation:
        state.parent = members.clone()  # as of everybody in the first generation
    perturb_members(state.population, plan, newcomers, draws)
    clocks = state.population.clocks  # their originals' bests are of other hyperparameters
    clocks.best_score[newcomers], clocks.best_epoch[newcomers] = float("inf"), -1
    originals = {id_: before[p] for id_, p in zip(new, copied, strict=True)}
    return Resizing(rows=tuple(rows.tolist()), added=originals)


def _take(state: SearchState, rows: NDArray[np.int64]) -> None:
    """The members at these positions; of a copy also the descent is that of its original."""
    positions = torch.as_tensor(rows, device=state.population.members.device)
    state.population = state.population.part(positions)
    state.parent = state.parent[positions]
    state.founder = state.founder[positions]
