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
            last = settings.training.epochs - 1
            print(f"epoch {report.epoch} (the last is {last}): valid_score {scores} nats per entry")

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        if self._is_printing:
            last = settings.search.generations - 1
            print(
                f"generation {report.generation} (the last is {last} at most): best score "
                f"{report.best:.4f} nats per entry"
            )
