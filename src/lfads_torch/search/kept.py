"""What a search leaves to infer with: the best model of every line, and beside them the members'.

Lines die out: in a population that copies, all members soon descend from one founder, and the best
models of the other lines are old and bad. What can still be averaged is members of one line that
have gone their own ways, so each member's own best is kept too. That needs no memory during the
search, for a population holds its members' best weights anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from lfads_torch.training.checkpoint import BestModels
from lfads_torch.training.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from jaxtyping import Int

    from lfads_torch.search.archive import Archive
    from lfads_torch.search.state import SearchState

__all__ = ["Kept", "kept_of", "since_when"]


@dataclass(frozen=True)
class Kept:
    """One row per model: first the lines' best, then the members' that are none of these."""

    models: BestModels  # a line's id is its founder's; a member's lies above all of them
    line: Int[torch.Tensor, " K"]  # id of the line; of a line's best its own
    slot: Int[torch.Tensor, " K"]  # id of the member that was the best

    def named(self, prefix: str) -> dict[str, torch.Tensor]:
        """Line and slot as they are stored in a file."""
        return {f"{prefix}line": self.line, f"{prefix}slot": self.slot}


def kept_of(state: SearchState, archive: Archive, since: Mapping[int, int]) -> Kept:
    """The models of a search as it stands; `archive` has the generation in progress already.

    `since` says from which epoch on each member has been itself (`since_when`). A best from
    before is its parent's, of other hyperparameters than the member has now, and is left out.
    Ids of members begin above every id there is, in the order of their own.
    """
    lines, population = archive.with_best(), state.population
    first_id = int(torch.cat([archive.models.members, population.members]).max()) + 1
    ids, epochs = population.members.tolist(), population.clocks.best_epoch.tolist()
    seen = set(_marks(lines.models, lines.models.members))
    rows = []
    for p, mark in enumerate(_marks(BestModels.of(population), state.founder)):
        if epochs[p] >= max(since.get(ids[p], 0), 0) and mark not in seen:
            seen.add(mark)
            rows.append(p)
    chosen = torch.tensor(rows, dtype=torch.long, device=population.members.device)
    own = BestModels.of(population).take(chosen)
    return Kept(
        models=_joined(lines.models, own, first_id),
        line=torch.cat([lines.models.members, state.founder[chosen]]),
        slot=torch.cat([lines.slot, own.members]),
    )


def since_when(state: SearchState, rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """The epoch in which each member was last replaced, by its id; no entry: never.

    `rows` are the history's, of the generations that have ended.
    """
    found = {
        int(row["member"]): int(row["first_epoch"])
        for row in rows
        if row["parent"] != row["member"]
    }
    if rows and rows[-1]["generation"] < state.generation:
        start = int(rows[-1]["last_epoch"]) + 1
        pairs = zip(state.population.members.tolist(), state.parent.tolist(), strict=True)
        found |= {member: start for member, parent in pairs if parent != member}
    return found


def _marks(models: BestModels, line: Int[torch.Tensor, " K"]) -> list[tuple[int, int, float]]:
    """What two rows have in common only where they are one model: line, epoch and score."""
    return list(zip(line.tolist(), models.epoch.tolist(), models.score.tolist(), strict=True))


def _joined(lines: BestModels, own: BestModels, first_id: int) -> BestModels:
    pairs = {name: (value, own.tensors()[name]) for name, value in lines.tensors().items()}
    pairs["members"] = (lines.members, own.members + first_id)
    added = own.hyperparameters.as_dict()
    hyperparameters = {
        name: torch.cat([value, added[name]])
        for name, value in lines.hyperparameters.as_dict().items()
    }
    joined = {name: torch.cat(pair) for name, pair in pairs.items()}
    return BestModels(hyperparameters=Hyperparameters.of(hyperparameters), **joined)
