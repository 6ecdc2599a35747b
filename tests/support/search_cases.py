"""Searches small enough to run many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from training_cases import Case

from lfads_torch.search.history import GenerationReport
from lfads_torch.search.run import Ending, Past, SearchPlan, search
from lfads_torch.search.schedule import schedule_of
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.space import Space, published_space
from lfads_torch.search.state import SearchState, draw_first, start_search
from lfads_torch.training.loop import EpochReport


@dataclass
class Watcher:
    """Keeps what a search reports; `after_epoch` may look at the state, or stop the search."""

    after_epoch: Callable[[SearchState, EpochReport], None] = lambda state, report: None
    on_begin: Callable[[SearchState], None] = lambda state: None
    epochs: list[EpochReport] = field(default_factory=list)
    generations: list[GenerationReport] = field(default_factory=list)

    def epoch(self, state: SearchState, report: EpochReport) -> None:
        self.epochs.append(report)
        self.after_epoch(state, report)

    def generation(self, state: SearchState, report: GenerationReport) -> None:
        self.generations.append(report)

    def began(self, state: SearchState) -> None:
        self.on_begin(state)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for report in self.generations for row in report.rows]


@dataclass(frozen=True)
class SearchCase:
    """A search on a tiny recording: a ramp of one epoch, generations of two."""

    case: Case
    settings: SearchSettings = field(
        default_factory=lambda: SearchSettings(population=4, generations=4, generation_epochs=2)
    )
    space: Space = field(default_factory=published_space)
    members_at_once: int = 0

    def having(self, **values: Any) -> SearchCase:  # settings of the search
        return replace(self, settings=replace(self.settings, **values))

    def plan(self) -> SearchPlan:
        return SearchPlan(
            settings=self.settings,
            space=self.space,
            schedule=schedule_of(self.settings, self.case.loss, steps_per_epoch=2),
            seed=self.case.seed,
            members_at_once=self.members_at_once,
        )

    def start(self, **own: list[float]) -> SearchState:
        plan = self.plan()
        first = plan.schedule.first_generation
        n = plan.schedule.n_members(first, self.settings.population)
        population = self.case.state(tuple(range(n)), **own)
        draw_first(population, self.space, seed=self.case.seed)
        return start_search(population, generation=first)

    def run(
        self,
        state: SearchState,
        watcher: Watcher,
        *,
        past: Past | None = None,
        wants_stop: Callable[[], bool] = lambda: False,
    ) -> Ending:
        return search(
            state,
            self.case.task(),
            self.case.data(),
            self.plan(),
            observer=watcher,
            past=past or Past(),
            wants_stop=wants_stop,
        )


def search_tensors(state: SearchState) -> dict[str, torch.Tensor]:
    """Every tensor of a search by name, copied."""
    from training_cases import state_tensors

    models = state.archive.models
    return {
        **state_tensors(state.population),
        "parent": state.parent.clone(),
        "founder": state.founder.clone(),
        "slot": state.archive.slot.clone(),
        **{f"archive.{name}": value.clone() for name, value in models.tensors().items()},
        **{
            f"archive.own.{name}": value.clone()
            for name, value in models.hyperparameters.as_dict().items()
        },
    }
