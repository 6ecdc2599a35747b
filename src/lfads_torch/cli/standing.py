"""What an epoch says about a fit, in the few figures that a person watches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["Standing", "duration"]

_RECENT_EPOCHS = 20
_TERMS = {
    "loss": "loss",
    "reconstruction": "reconstruction",
    "kl_initial_condition": "KL initial condition",
    "kl_inputs": "KL inputs",
    "l2": "L2",
}


@dataclass
class Standing:
    """The latest epoch and the best one so far, of the member that leads.

    The leading member has the lowest smoothed score of all epochs that count; before there is one,
    and where members are replaced, of the latest epoch. Members are known by their permanent ids.
    """

    n_epochs: int  # at most
    waits_for_ramps: bool = True  # only epochs after both ramps count (training.best_from)
    replaces_members: bool = False  # a search: the best so far may be gone
    row: Mapping[str, Any] = field(default_factory=dict)  # of metrics.jsonl: JSON values
    best_score: float = math.inf
    best_epoch: int | None = None
    best_member: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in the next epoch."""
        self.row = row
        self.seconds.append(float(row["seconds"]))
        ramps = [_numbers(row.get(name), missing=1.0) for name in ("ramp_kl", "ramp_l2")]
        for place, (member, score) in enumerate(zip(self.members, self.scores(), strict=True)):
            is_over = all(len(ramp) > place and ramp[place] >= 1.0 for ramp in ramps)
            if (is_over or not self.waits_for_ramps) and score < self.best_score:
                self.best_score, self.best_epoch = score, int(row["epoch"])
                self.best_member = member

    @property
    def members(self) -> list[int]:
        """Ids, in the order of the row's lists."""
        return list(self.row.get("members", range(len(self.scores()))))

    @property
    def member(self) -> int:
        """The member that is shown."""
        scores, members = self.scores(), self.members
        if scores and (self.best_epoch is None or self.replaces_members):
            return members[scores.index(min(scores))]
        return self.best_member

    @property
    def n_members(self) -> int:
        return len(self.scores()) or 1

    @property
    def seconds_per_epoch(self) -> float:
        recent = self.seconds[-_RECENT_EPOCHS:]
        return median(recent) if recent else math.nan

    @property
    def seconds_left(self) -> float:
        """If training goes on to the last epoch allowed."""
        return self.seconds_per_epoch * max(0, self.n_epochs - self.n_done)

    @property
    def n_done(self) -> int:
        return int(self.row.get("epoch", -1)) + 1

    def terms(self) -> list[tuple[str, str]]:
        """Terms of the loss of the shown member, by their names in words."""
        return [(word, self._text(name)) for name, word in _TERMS.items() if name in self.row]

    def score_text(self) -> str:
        best = (
            ""
            if self.best_epoch is None
            else f" (best {self.best_score:.5g}, epoch {self.best_epoch})"
        )
        return f"{self._text('valid_score')}{best}"

    def rate_text(self) -> str:
        return self._text("learning_rate")

    def pace_text(self) -> str:
        """Epochs per second or seconds per epoch, whichever is over 1, and the time left."""
        each = self.seconds_per_epoch
        pace = f"{each:.2g} s/epoch" if each >= 1 else f"{1 / max(each, 1e-9):.2g} epochs/s"
        left = self.seconds_left
        return pace if not left else f"{pace}, at most {duration(left)} left"

    def epoch_text(self) -> str:
        """The latest epoch, counted from 0 as in every file, and how many are done of how many."""
        at_most = "at most " if self.replaces_members else ""
        return f"epoch {self.n_done - 1} ({self.n_done} of {at_most}{self.n_epochs})"

    def line(self) -> str:
        """Everything in one line."""
        member = f", member {self.member} of {self.n_members}" if self.n_members > 1 else ""
        return f"{self.epoch_text()}{member}: {self.details()}"

    def details(self) -> str:
        """Terms, score, rate and pace."""
        terms = ", ".join(f"{name} {value}" for name, value in self.terms())
        return (
            f"{terms}; score {self.score_text()}, learning rate {self.rate_text()}; "
            f"{self.pace_text()}"
        )

    def scores(self) -> list[float]:
        """Smoothed scores of the latest epoch; infinite where there is none."""
        return self.numbers("valid_score", missing=math.inf)

    def numbers(self, name: str, *, missing: float = math.nan) -> list[float]:
        """A quantity of the latest epoch, per member."""
        return _numbers(self.row.get(name), missing=missing)

    @property
    def is_over(self) -> bool:
        return self.n_done >= self.n_epochs

    def _text(self, name: str) -> str:
        values, members = self.numbers(name), self.members
        place = members.index(self.member) if self.member in members else 0
        return f"{values[min(place, len(values) - 1)]:.4g}" if values else "-"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _numbers(value: Any, *, missing: float) -> list[float]:  # a JSON number, null or a list
    if value is None:
        return []
    values: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
    return [missing if each is None or math.isnan(each) else float(each) for each in values]
