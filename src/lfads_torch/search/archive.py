"""The best model of every line: what a search returns, whatever becomes of the population later.

A line is all that descends from one member of the first generation. The best over the whole
history may belong to a member that was replaced long ago, and an ensemble needs models of
different lines, so one best model of each line is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.training.checkpoint import BestModels

if TYPE_CHECKING:
    from jaxtyping import Int

    from lfads_torch.training.state import PopulationState

__all__ = ["Archive"]


@dataclass(frozen=True)
class Archive:
    """One row per line; its `members` are the founders' ids. A row without a best has epoch -1."""

    models: BestModels
    slot: Int[torch.Tensor, " F"]  # id of the member that was the best; -1: none yet

    @classmethod
    def of_founders(cls, population: PopulationState) -> Archive:
        """Empty, for the lines that begin with these members."""
        models = BestModels.of(population.copy())  # a file cannot hold tensors that share memory
        infinity = torch.full_like(models.score, float("inf"))
        nothing = torch.full_like(models.epoch, -1)
        return cls(replace(models, score=infinity, epoch=nothing), nothing.clone())

    def merged(self, population: PopulationState, founder: Int[torch.Tensor, " P"]) -> Archive:
        """With each member's best, where it is better than the best of its line so far.

        To be called before hyperparameters change: a member's present ones are taken for those of
        its best, unless that one is known already.
        """
        kept, slot = self.models, self.slot.clone()
        fields = {name: value.clone() for name, value in kept.tensors().items()}
        own = {name: value.clone() for name, value in kept.hyperparameters.as_dict().items()}
        for p, row in enumerate(self._rows(founder)):
            score = population.clocks.best_score[p]
            if int(population.clocks.best_epoch[p]) < 0 or not bool(score < fields["score"][row]):
                continue
            fields["weights"][row] = population.best_weights[p]
            fields["score"][row] = score
            fields["epoch"][row] = population.clocks.best_epoch[p]
            slot[row] = population.members[p]
            for name, value in population.hyperparameters.as_dict().items():
                own[name][row] = value[p]
        hyperparameters = type(kept.hyperparameters).of(own)
        return Archive(replace(kept, hyperparameters=hyperparameters, **fields), slot)

    def with_best(self) -> Archive:
        """Only the lines that have a best model."""
        rows = (self.models.epoch >= 0).nonzero().flatten()
        return Archive(self.models.take(rows), self.slot[rows])

    def ranked(self) -> list[int]:
        """Founders' ids of the lines that have a best, the best line first."""
        found = self.with_best().models
        order = torch.argsort(found.score, stable=True)
        return [int(found.members[row]) for row in order]

    def _rows(self, founder: Int[torch.Tensor, " P"]) -> list[int]:
        place = {int(member): row for row, member in enumerate(self.models.members)}
        return [place[int(member)] for member in founder]
