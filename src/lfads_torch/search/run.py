"""The search: train a generation, score it, choose parents, change what was copied, until it stops.

Source: population-based training, Jaderberg et al. 2017 (arXiv:1711.09846); for LFADS, Keshtkaran,
Sedler et al. 2022 (Nature Methods 19).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lfads_torch.search.halving import keep_better_half
from lfads_torch.search.history import (
    GenerationReport,
    best_by_generation,
    generation_report,
)
from lfads_torch.search.perturb import changed, perturbation_rule
from lfads_torch.search.select import choose_parents, selection_rule
from lfads_torch.search.stopping import has_converged
from lfads_torch.training.loop import AdvanceOptions, advance

if TYPE_CHECKING:
    from lfads_torch.search.draws import Draws
    from lfads_torch.search.schedule import Schedule
    from lfads_torch.search.settings import SearchSettings
    from lfads_torch.search.space import Space
    from lfads_torch.search.state import SearchState
    from lfads_torch.training.loop import EpochReport, TrainingData
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = ["Ending", "Past", "SearchObserver", "SearchPlan", "perturb_members", "search"]


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What does not change during a search."""

    settings: SearchSettings
    space: Space
    schedule: Schedule
    seed: int
    members_at_once: int = 0  # groups of this many train in turn; 0: all at once


@dataclass(frozen=True)
class Ending:
    """Why a search returned, in a word and in a sentence."""

    kind: Literal["converged", "limit", "diverged", "interrupted"]
    text: str


@dataclass(frozen=True)
class Past:
    """What a resumed search needs to know of its own past."""

    rows: Sequence[Mapping[str, Any]] = ()  # of the history, up to the last finished generation
    last_row: Mapping[str, Any] | None = None  # of the metrics: the last finished epoch


class SearchObserver(Protocol):
    """Who watches a search and stores it."""

    def epoch(self, state: SearchState, report: EpochReport) -> None:
        """An epoch is done; `state` is whole."""

    def generation(self, state: SearchState, report: GenerationReport) -> None:
        """A generation is done; unless it was the last, `state` already begins the next one."""

    def began(self, state: SearchState) -> None:
        """The next generation is about to train."""


def search(
    state: SearchState,
    task: Task,
    data: TrainingData,
    plan: SearchPlan,
    *,
    observer: SearchObserver,
    wants_stop: Callable[[], bool] = lambda: False,
    past: Past = Past(),
) -> Ending:
    """Run generations until the search ends; `state` changes in place.

    Deterministic given the state, so that a search resumed from a stored state ends as the
    uninterrupted one. On the ending `diverged` every member is frozen.
    """
    rows = list(past.rows)
    last_row = dict(past.last_row or {})

    def observe(report: EpochReport) -> None:
        last_row.update(report.values)
        observer.epoch(state, report)

    while True:
        population, end = state.population, plan.schedule.end(state.generation)
        advance(
            population,
            task,
            data,
            seed=plan.seed,
            n_epochs=end - population.epoch,
            observe=observe,
            options=AdvanceOptions(
                diverged="freeze", members_at_once=plan.members_at_once, wants_stop=wants_stop
            ),
        )
        is_gone = bool(population.clocks.is_stopped.all())
        if population.epoch < end and not is_gone:
            return Ending("interrupted", "it was interrupted")
        report = generation_report(state, plan.space, plan.schedule, last_row=last_row)
        state.archive = state.archive.merged(population, state.founder)
        ending = _ending(plan, [*rows, *report.rows], report, is_gone=is_gone)
        if ending is not None:
            last = ["last"] * population.n_members
            observer.generation(state, report.with_outcomes(last))
            return ending
        outcomes = _next_generation(state, plan, report.scores)
        report = report.with_outcomes(outcomes)
        rows += report.rows
        observer.generation(state, report)
        observer.began(state)


def _ending(
    plan: SearchPlan,
    rows: Sequence[Mapping[str, Any]],
    report: GenerationReport,
    *,
    is_gone: bool,
) -> Ending | None:
    settings = plan.settings
    if is_gone:
        return Ending("diverged", _why_gone(report))
    best = best_by_generation(rows)
    n, tolerance = settings.stop_generations, settings.stop_tolerance
    if has_converged(best, generations=n, tolerance=tolerance):
        return Ending(
            "converged",
            f"over the last {n} generations the best score improved by no more than "
            f"{tolerance:g} of its size",
        )
    if report.generation + 1 >= plan.schedule.n_generations:
        return Ending("limit", f"all {plan.schedule.n_generations} generations are done")
    return None


def _why_gone(report: GenerationReport) -> str:
    """Which terms broke, and what to change."""
    terms = Counter(row["broke"] or "the score" for row in report.rows)
    listed = ", ".join(f"{term} ({n} of {len(report.rows)})" for term, n in terms.most_common())
    return (
        f"by generation {report.generation} every member had left the finite numbers: {listed}. "
        "Lower the learning rates (the upper limit of training.learning_rate in the space, or the "
        "values of the list) or training.max_gradient_norm, and look at the data with "
        "`lfads check`"
    )


def _next_generation(
    state: SearchState, plan: SearchPlan, scores: NDArray[np.float64]
) -> list[str]:
    """Make `state` the start of the next generation; what happened to each member, in a word."""
    draws = state.draws(plan.seed)
    if state.generation < 0:
        outcomes = keep_better_half(state, scores)
    elif plan.settings.method == "population":
        outcomes = _exploit_and_explore(state, plan, scores, draws)
    elif plan.settings.method == "explore_only":
        outcomes = _explore_only(state, plan, scores, draws)
    else:
        outcomes = ["kept"] * len(scores)
        state.parent = state.population.members.clone()
    state.generation += 1
    return outcomes


def _exploit_and_explore(
    state: SearchState, plan: SearchPlan, scores: NDArray[np.float64], draws: Draws
) -> list[str]:
    population = state.population
    parents = choose_parents(selection_rule(plan.settings), scores, draws)
    positions = torch.as_tensor(parents, device=population.members.device)
    population.take(positions)
    state.founder = state.founder[positions]
    state.parent = population.members[positions]
    is_replaced = parents != np.arange(len(parents))
    perturb_members(population, plan, np.flatnonzero(is_replaced), draws)
    return ["replaced" if each else "kept" for each in is_replaced]


def _explore_only(
    state: SearchState, plan: SearchPlan, scores: NDArray[np.float64], draws: Draws
) -> list[str]:
    """As with exploitation, but losers keep their own weights and change their own values."""
    parents = choose_parents(selection_rule(plan.settings), scores, draws)
    has_lost = (parents != np.arange(len(parents))) & np.isfinite(scores)
    state.parent = state.population.members.clone()
    perturb_members(state.population, plan, np.flatnonzero(has_lost), draws)
    return ["perturbed" if each else "kept" for each in has_lost]


def perturb_members(
    population: PopulationState, plan: SearchPlan, positions: NDArray[np.int64], draws: Draws
) -> None:
    """Change every searched hyperparameter of these members, in place."""
    rule, draws = perturbation_rule(plan.settings), draws.of(positions)
    for each in plan.space if len(positions) else ():
        own = population.hyperparameters.value(each.field)
        before = own[positions].double().cpu().numpy()
        share = plan.settings.resample_probability
        after = changed(rule, before, each, draws, resample_probability=share)
        own[positions] = torch.as_tensor(after, dtype=own.dtype, device=own.device)
