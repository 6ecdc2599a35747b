"""A stored search gets as many members as its settings want, when training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import RunError

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.search.resize import Resizing
    from lfads_torch.search.run import Past, SearchPlan
    from lfads_torch.search.state import SearchState
    from lfads_torch.workflows.fit import Observer

__all__ = ["resized_past"]


def resized_past(
    run: RunFolder, state: SearchState, past: Past, plan: SearchPlan, watcher: Observer
) -> Past | None:
    """Change the state where it has more or fewer members than the settings; else None.

    The record then says so. Repeated on the same state it does the same, so that a kill before
    the state is stored changes nothing.
    """
    from lfads_torch.search.resize import resize

    n_before = state.population.n_members
    n_members = plan.schedule.n_members(state.generation, plan.settings.population)
    if n_members == n_before:
        return None
    _require_a_population(run, plan, state.generation, (n_before, n_members))
    first_id = _highest_id(run, state, past.rows) + 1
    resizing = resize(state, plan, n_members, first_id=first_id)
    text = f"from epoch {state.population.epoch} on {_change(n_before, n_members, resizing)}"
    _note(run, n_members, text)
    watcher.message(text)
    return replace(past, last_row=_taken(past.last_row, resizing, n_before))


def _require_a_population(
    run: RunFolder, plan: SearchPlan, generation: int, found_and_wanted: tuple[int, int]
) -> None:
    method = plan.settings.method
    if method not in ("random", "list") and generation >= 0:
        return
    found, wanted = found_and_wanted
    raise RunError(
        f"{run.path}: the stored state has {found} members and the settings want {wanted}, which "
        f"cannot change in generation {generation} of a search of the method {method}. "
        "settings.yaml was changed, or a file of another run lies here: restore it from a copy."
    )


def _highest_id(run: RunFolder, state: SearchState, rows: Sequence[Mapping[str, Any]]) -> int:
    """Of all members there have ever been: an id stands for one random stream."""
    ids = {int(row["member"]) for row in rows}
    ids |= set(state.population.members.tolist()) | set(state.archive.models.members.tolist())
    for row in run.metrics.read():
        ids |= set(row.get("members") or range(len(row["valid_score"])))
    return max(ids)


def _change(n_before: int, n_members: int, resizing: Resizing) -> str:
    changed = f"{n_members} members instead of {n_before}"
    if resizing.dropped:
        return f"{changed}: {', '.join(map(str, resizing.dropped))} left, whose scores were worst"
    joined = (f"{new} as a copy of {old}" for new, old in resizing.added.items())
    return f"{changed}: new are {', '.join(joined)}, with changed hyperparameters"


def _note(run: RunFolder, n_members: int, text: str) -> None:
    record = run.read_record()
    warning = f"the population was changed when the search was resumed: {text}"
    warnings = tuple(dict.fromkeys([*record.warnings, warning]))
    run.write_record(replace(record, n_members=n_members, warnings=warnings))


def _taken(
    row: Mapping[str, Any] | None, resizing: Resizing, n_before: int
) -> dict[str, Any] | None:
    """The last epoch's metrics as if these had been the members."""
    if row is None:
        return None
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    lists = {name: value for name, value in lists.items() if len(value) == n_before}
    taken = {name: [value[p] for p in resizing.rows] for name, value in lists.items()}
    return {**row, **taken}
