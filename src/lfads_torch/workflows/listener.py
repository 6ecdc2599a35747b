"""Who watches a fit from Python: keeps what was said, and prints it if asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.search.history import GenerationReport
    from lfads_torch.training.loop import EpochReport

__all__ = ["Listener"]


class Listener:
    """An observer that collects `messages` and, if it prints, adds a line for every epoch."""

    def __init__(self, *, is_printing: bool) -> None:
        self.messages: list[str] = []
        self._is_printing = is_printing

    def message(self, text: str) -> None:
        self.messages.append(text)
        if self._is_printing:
            print(text)

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        if self._is_printing:
            scores = ", ".join(f"{value:.4f}" for value in report.values["valid_score"])
            count = f"{report.epoch + 1} of {settings.training.epochs}"
            print(f"epoch {report.epoch} ({count}): valid_score {scores} nats per entry")

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        if self._is_printing:
            n, at_most = report.generation, settings.search.generations
            name = (
                f"generation {n} ({n + 1} of at most {at_most})"
                if n >= 0
                else f"halving (rounds to come: {-n - 1})"
            )
            print(f"{name}: best score {report.best:.4f} nats per entry")
