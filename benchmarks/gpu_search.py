"""A whole search on counts of the maze recording's shapes, timed end to end; see gpu_check.py."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from gpu_cases import SEED, Shapes

from lfads_torch.loss.settings import LossSettings
from lfads_torch.search.history import GenerationReport
from lfads_torch.search.run import SearchPlan, search
from lfads_torch.search.schedule import schedule_of
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.space import published_space
from lfads_torch.search.state import SearchState, draw_first, start_search
from lfads_torch.training.loop import EpochReport

__all__ = ["whole_search"]


@dataclass
class Watch:
    """Counts epochs and keeps messages."""

    n_epochs: int = 0
    messages: list[str] = field(default_factory=list)
    last: EpochReport | None = None

    def epoch(self, state: SearchState, report: EpochReport) -> None:
        self.n_epochs += 1
        self.messages += report.messages
        self.last = report

    def generation(self, state: SearchState, report: GenerationReport) -> None:
        pass

    def began(self, state: SearchState) -> None:
        pass


def whole_search(
    shapes: Shapes, device: torch.device, backend: str, *, until: float, tiny: bool
) -> dict[str, Any]:
    """Data to the device, training, validation, selection and perturbation; no files.

    1000 epochs, or as many as end before `until`; the result says how many it was.
    """
    started = time.monotonic()
    task = shapes.task(backend, device)
    data, population = shapes.data(task), shapes.state(task, shapes.members)
    settings = SearchSettings(
        population=shapes.members, generations=2 if tiny else 37,
        generation_epochs=1 if tiny else 25, stop_generations=0,
    )  # fmt: skip
    loss = LossSettings(kl_ramp_increase=0, l2_ramp_increase=0) if tiny else LossSettings()
    n_steps = -(-shapes.train // shapes.batch)
    schedule = schedule_of(settings, loss, steps_per_epoch=n_steps)
    space, watch = published_space(), Watch()
    draw_first(population, space, seed=SEED)
    state = start_search(population, generation=schedule.first_generation)
    ending = search(
        state, task, data,
        SearchPlan(settings=settings, space=space, schedule=schedule, seed=SEED),
        observer=watch,
        wants_stop=lambda: time.monotonic() > until,
    )  # fmt: skip
    took = time.monotonic() - started
    if watch.last is None:
        raise RuntimeError("no epoch of the search ended in its time")
    return {
        "backend": task.kernels.name,
        "members": shapes.members,
        "epochs": watch.n_epochs,
        "planned_epochs": schedule.n_epochs,
        "seconds": took,
        "seconds_per_epoch": took / watch.n_epochs,
        "ending": ending.text,
        "last_reconstruction": watch.last.values["valid_reconstruction"],
        "messages": watch.messages[:20],
    }
