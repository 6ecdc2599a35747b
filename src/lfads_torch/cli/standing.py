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
    of the latest epoch.
    """

    n_epochs: int  # at most
    waits_for_ramps: bool = True  # only epochs after both ramps count (training.best_from)
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
        for member, score in enumerate(self._scores()):
            is_over = all(len(ramp) > member and ramp[member] >= 1.0 for ramp in ramps)
            if (is_over or not self.waits_for_ramps) and score < self.best_score:
                self.best_score, self.best_epoch = score, int(row["epoch"])
                self.best_member = member

    @property
    def member(self) -> int:
        """The member that is shown."""
        scores = self._scores()
        if self.best_epoch is None and scores:
            return scores.index(min(scores))
        return self.best_member

    @property
    def n_members(self) -> int:
        return len(self._scores()) or 1

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

    def line(self) -> str:
        """Everything in one line."""
        terms = ", ".join(f"{name} {value}" for name, value in self.terms())
        member = f", member {self.member} of {self.n_members}" if self.n_members > 1 else ""
        return (
            f"epoch {self.n_done} of {self.n_epochs}{member}: {terms}; score {self.score_text()}, "
            f"learning rate {self.rate_text()}; {self.pace_text()}"
        )

    def _scores(self) -> list[float]:
        return _numbers(self.row.get("valid_score"), missing=math.inf)

    def _text(self, name: str) -> str:
        values = _numbers(self.row.get(name), missing=math.nan)
        return f"{values[min(self.member, len(values) - 1)]:.4g}" if values else "-"


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
