"""How a search stands: generations beside the epochs, and what became of each member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lfads_torch.cli.standing import Standing, duration
from lfads_torch.counted import counted

if TYPE_CHECKING:
    from lfads_torch.cli.search_beginning import Beginning
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.search.schedule import Schedule

__all__ = ["SearchStanding"]

Row = Mapping[str, Any]  # of history.csv: int, float, str or None by column
_CHANGES = ("replaced", "perturbed", "dropped")


@dataclass
class SearchStanding:
    """The epochs so far, the last finished generation, and since when each member has its weights.

    Generations and epochs are counted from 1 in what is shown, as epochs of a fit are.
    """

    epochs: Standing
    schedule: Schedule
    rows: Sequence[Row] = ()  # of the last finished generation
    replaced_in: dict[int, int] = field(default_factory=dict)  # member -> epochs done before
    beginning: Beginning | None = None  # of the generation in progress, where it is shown
    is_over: bool = False

    @classmethod
    def of(cls, settings: Settings, *, steps_per_epoch: int) -> SearchStanding:
        from lfads_torch.search.schedule import schedule_of

        training = settings.training
        schedule = schedule_of(settings.search, settings.loss, steps_per_epoch=steps_per_epoch)
        waits = training.best_from == "ramps"
        epochs = Standing(schedule.n_epochs, waits_for_ramps=waits, replaces_members=True)
        return cls(epochs, schedule)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the next epoch."""
        self.epochs.add(row)

    def finish(self, rows: Sequence[Row]) -> None:
        """Take in a finished generation: its lines of the history."""
        self.rows = rows
        for row in rows:
            if row["outcome"] == "replaced":
                self.replaced_in[int(row["member"])] = int(row["last_epoch"]) + 1
        self.is_over = any(row["outcome"] == "last" for row in rows)

    @property
    def generation(self) -> int:
        """To which the latest epoch belongs; negative in halving."""
        generation = self.schedule.first_generation
        while self.schedule.end(generation) < self.epochs.n_done:
            generation += 1
        return generation

    @property
    def last_generation(self) -> int:
        """The last finished one; before there is any, the one before the first."""
        return int(self.rows[0]["generation"]) if self.rows else self.schedule.first_generation - 1

    def look(self, run: RunFolder) -> None:
        """Learn from the run folder what the members of this generation began with."""
        from lfads_torch.cli.search_beginning import read_beginning

        if self.beginning is None or self.beginning.generation != self.generation:
            self.beginning = read_beginning(run) or self.beginning

    def age(self, member: int) -> int:
        """Epochs since the member's weights were last replaced by another's."""
        return self.epochs.n_done - self.replaced_in.get(member, 0)

    def is_frozen(self, member: int) -> bool:
        """Whether it has no score in the latest epoch."""
        members = self.epochs.members
        return member in members and self.epochs.scores()[members.index(member)] == float("inf")

    def generation_text(self) -> str:
        return _named(self.generation, self.schedule)

    def line(self) -> str:
        """The latest epoch in one line."""
        epochs = self.epochs
        return (
            f"{self.generation_text()}, {epochs.epoch_text()}, member "
            f"{epochs.member} of {epochs.n_members} leads: {epochs.details()}"
        )

    def generation_line(self) -> str:
        """The last finished generation in one line."""
        first, last = int(self.rows[0]["first_epoch"]), int(self.rows[0]["last_epoch"])
        seconds = sum(self.epochs.seconds[first : last + 1])
        left = 0.0 if self.is_over else self.epochs.seconds_left
        parts = [
            f"{_best(self.rows)}{_changes(self.rows)}",
            f"{counted(last + 1 - first, 'epoch')} in {duration(seconds)}",
            *([f"at most {duration(left)} left"] if left else []),
        ]
        return f"{_named(int(self.rows[0]['generation']), self.schedule)}: {'; '.join(parts)}"

    def frozen_text(self) -> str:
        """Who was frozen in the last finished generation and why; empty: nobody."""
        return _frozen(self.rows)


def _named(generation: int, schedule: Schedule) -> str:
    if generation < 0:
        return f"halving round {generation + schedule.n_rounds + 1} of {schedule.n_rounds}"
    # Counted from 0 as in every file, as epochs are; then how many that makes.
    return f"generation {generation} ({generation + 1} of at most {schedule.n_generations})"


def _best(rows: Iterable[Row]) -> str:
    scored = [row for row in rows if row["score"] is not None]
    if not scored:
        return "no member has a score"
    best = min(scored, key=lambda row: float(row["score"]))
    return f"best score {best['score']:.5g} (member {best['member']})"


def _changes(rows: Sequence[Row]) -> str:
    counts = Counter(row["outcome"] for row in rows)
    told = [f"{counts[word]} of {len(rows)} {word}" for word in _CHANGES if counts[word]]
    frozen = _frozen(rows)
    return "".join(f", {each}" for each in (*told, *([f"frozen: {frozen}"] if frozen else [])))


def _frozen(rows: Iterable[Row]) -> str:
    frozen = [row for row in rows if row["is_frozen"]]
    return ", ".join(f"member {row['member']} ({row['broke'] or 'no score'})" for row in frozen)
