"""Which epochs belong to which generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.search.settings import SearchSettings

__all__ = ["Schedule", "schedule_of"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Rounds of halving are generations -n .. -1; the search's own count from 0."""

    n_rounds: int  # of halving
    round_epochs: int
    first_end: int  # epochs when generation 0 ends
    generation_epochs: int
    n_generations: int  # at most

    @property
    def first_generation(self) -> int:
        return -self.n_rounds

    @property
    def n_epochs(self) -> int:
        """Epochs of a search that uses all its generations."""
        return self.end(self.n_generations - 1)

    def end(self, generation: int) -> int:
        """Epochs that are done when the generation is."""
        if generation < 0:
            return (generation + self.n_rounds + 1) * self.round_epochs
        return self.first_end + generation * self.generation_epochs

    def start(self, generation: int) -> int:
        return 0 if generation == self.first_generation else self.end(generation - 1)

    def n_members(self, generation: int, population: int) -> int:
        """Members that train in a generation: halving begins with more."""
        return population << max(0, -generation)


def schedule_of(search: SearchSettings, loss: LossSettings, *, steps_per_epoch: int) -> Schedule:
    """The first generation lasts until both ramps have ended, and a generation longer."""
    ends = (
        loss.kl_ramp_start + loss.kl_ramp_increase,
        loss.l2_ramp_start + loss.l2_ramp_increase,
    )
    per_epoch = 1 if loss.ramp_unit == "epochs" else steps_per_epoch
    ramps_end = -(-max(ends) // per_epoch)
    n_rounds = (search.halving_factor).bit_length() - 1 if search.start == "halving" else 0
    halved = n_rounds * search.halving_epochs
    return Schedule(
        n_rounds=n_rounds,
        round_epochs=search.halving_epochs,
        first_end=max(ramps_end, halved) + search.generation_epochs,
        generation_epochs=search.generation_epochs,
        n_generations=search.generations,
    )
