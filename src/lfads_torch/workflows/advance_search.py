"""Training of a search inside its run folder: generations, history, checkpoints, signals."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lfads_torch.atomic import atomic_path
from lfads_torch.errors import DivergenceError, RunError

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.search.archive import Archive
    from lfads_torch.search.history import GenerationReport
    from lfads_torch.search.run import Ending, Past, SearchPlan
    from lfads_torch.search.state import SearchState
    from lfads_torch.training.loop import EpochReport
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.fit import Observer

__all__ = ["train_search"]


def train_search(
    run: RunFolder, assembly: Assembly, watcher: Observer, *, is_resumed: bool
) -> None:
    """Search to the end or to a signal; the run's status and its record say which.

    Raises DivergenceError where no member has finite numbers any more; the state in which that
    generation began is then the last one that is stored.
    """
    from lfads_torch.search.run import search
    from lfads_torch.workflows.interruption import Interruption
    from lfads_torch.workflows.resize_search import resized_past

    task = assembly.task
    plan = _plan(run, assembly, watcher)
    state, past = _begin(run, assembly, plan, watcher, is_resumed=is_resumed)
    resized = resized_past(run, state, past, plan, watcher)
    past = resized or past
    keeper = _Keeper(run, assembly, watcher, list(past.rows))
    is_new = state.population.epoch == 0
    if is_new or resized is not None or not run.generation_checkpoint_path.exists():
        keeper.began(state)
    with Interruption(watcher.message) as interruption:
        ending = search(
            state,
            task,
            assembly.training_data(),
            plan,
            observer=keeper,
            wants_stop=lambda: interruption.is_wanted,
            past=past,
        )
        if ending.kind == "diverged":
            _keep_last_good(run)
            keeper.store_best(state)
            _record_ending(run, assembly, plan, state, ending)
            raise DivergenceError(f"{run.path}: {ending.text}.{_what_is_left(run, state)}")
        keeper.store(state)
    _conclude(run, assembly, plan, state, ending, watcher, signal=interruption.signal_name)


def _plan(run: RunFolder, assembly: Assembly, watcher: Observer) -> SearchPlan:
    from lfads_torch.config.space import space_from_yaml
    from lfads_torch.search.run import SearchPlan
    from lfads_torch.search.schedule import schedule_of
    from lfads_torch.workflows.grouping import members_at_once

    settings, path = assembly.settings, run.space_path
    steps = assembly.data_sizes.steps_per_epoch(settings.training.batch_size)
    return SearchPlan(
        settings=settings.search,
        space=space_from_yaml(_space_text(run), str(path)),
        schedule=schedule_of(settings.search, settings.loss, steps_per_epoch=steps),
        seed=settings.run.seed,
        members_at_once=members_at_once(run, assembly, watcher),
    )


def _space_text(run: RunFolder) -> str:
    """What the search was begun with. Raises RunError where the file was changed since."""
    from lfads_torch.outputs.text_fingerprint import text_fingerprint

    run.require(run.space_path.name)
    text = run.space_path.read_text(encoding="utf-8")
    begun_with = run.read_record().search.get("space")  # older runs have none
    if begun_with not in (None, text_fingerprint(text)):
        raise RunError(
            f"{run.space_path}: it is not what this search was begun with, and a search cannot "
            "change its space on the way. Restore the file from a copy, or begin another search: "
            "lfads search --space FILE."
        )
    return text


def _begin(
    run: RunFolder, assembly: Assembly, plan: SearchPlan, watcher: Observer, *, is_resumed: bool
) -> tuple[SearchState, Past]:
    """The stored search and its past, or a new one."""
    from lfads_torch.outputs.history_file import read_history, write_history
    from lfads_torch.search.run import Past
    from lfads_torch.search.state import load_search

    state = None
    if is_resumed and run.last_checkpoint_path.exists():
        state = load_search(
            run.last_checkpoint_path, assembly.task.layout, assembly.task.device,
            own=assembly.settings.own,
        )  # fmt: skip
    elif is_resumed and run.metrics.read():
        raise RunError(
            f"{run.path}: it has metrics, but {run.last_checkpoint_path} is gone, so the search "
            "cannot go on. Restore that file from a copy; `lfads infer` works without it. To begin "
            "anew, search with another --out."
        )
    if state is None or state.population.epoch == 0:
        # Nothing is trained: drawn again, with as many members as the settings want by now.
        run.metrics.truncate_after(-1)
        run.history_path.unlink(missing_ok=True)
        return _new_search(run, assembly, plan), Past()
    run.metrics.truncate_after(state.population.epoch - 1)
    rows = [r for r in read_history(run.history_path) if r["generation"] < state.generation]
    write_history(run.history_path, rows)
    metrics = run.metrics.read()
    watcher.message(
        f"resumed after epoch {state.population.epoch - 1}, in generation {state.generation}"
    )
    return state, Past(rows, metrics[-1] if metrics else None)


def _new_search(run: RunFolder, assembly: Assembly, plan: SearchPlan) -> SearchState:
    import torch

    from lfads_torch.search.space import field_of
    from lfads_torch.search.state import draw_first, start_search
    from lfads_torch.workflows.assemble import start_state

    population = start_state(assembly)
    draw_first(population, plan.space, seed=plan.seed)
    own = population.hyperparameters
    for p, values in enumerate(run.read_record().search.get("values", ())):
        for name, value in values.items():
            own.value(field_of(name))[p] = torch.as_tensor(value)
    return start_search(population, generation=plan.schedule.first_generation)


class _Keeper:
    """Writes metrics after every epoch, history after every generation, checkpoints in between."""

    def __init__(
        self, run: RunFolder, assembly: Assembly, watcher: Observer, rows: list[Any]
    ) -> None:
        self._run, self._assembly, self._watcher, self._rows = run, assembly, watcher, rows
        self._stored_at = time.monotonic()

    def epoch(self, state: SearchState, report: EpochReport) -> None:
        self._run.metrics.append(report.row())
        for text in report.messages:
            self._watcher.message(text)
        self._watcher.epoch(report, self._assembly.settings)
        interval = self._assembly.settings.training.checkpoint_interval_s
        if time.monotonic() - self._stored_at >= interval:
            self.store(state)

    def generation(self, state: SearchState, report: GenerationReport) -> None:
        from lfads_torch.outputs.history_file import write_history

        self._rows += report.rows
        write_history(self._run.history_path, self._rows)
        self._watcher.generation(report, self._assembly.settings)

    def began(self, state: SearchState) -> None:
        self.store(state)
        last = self._run.last_checkpoint_path
        with atomic_path(self._run.generation_checkpoint_path, has_one_writer=True) as part:
            shutil.copyfile(last, part)

    def store(self, state: SearchState) -> None:
        from lfads_torch.search.state import save_search

        layout, seed = self._assembly.task.layout, self._assembly.settings.run.seed
        save_search(self._run.last_checkpoint_path, state, layout, seed=seed)
        self.store_best(state)
        self._stored_at = time.monotonic()

    def store_best(self, state: SearchState) -> None:
        """The best of every line and member; each member's last state before there is any."""
        from lfads_torch.search.kept import kept_of, since_when
        from lfads_torch.training.checkpoint import save_best

        kept = kept_of(state, _archive(state), since_when(state, self._rows))
        is_any = len(kept.slot) > 0
        save_best(
            self._run.best_checkpoint_path,
            state.population,
            self._assembly.task.layout,
            seed=self._assembly.settings.run.seed,
            models=kept.models if is_any else None,
            extras=kept.named("search/") if is_any else None,
        )


def _archive(state: SearchState) -> Archive:
    """With the generation in progress, which the state's own archive does not have yet."""
    return state.archive.merged(state.population, state.founder)


def _keep_last_good(run: RunFolder) -> None:
    """What can be resumed is the generation's start, not a population of frozen members."""
    with atomic_path(run.last_checkpoint_path, has_one_writer=True) as part:
        shutil.copyfile(run.generation_checkpoint_path, part)


def _what_is_left(run: RunFolder, state: SearchState) -> str:
    if not len(_archive(state).with_best().slot):
        kept = "No member had a score after the ramps yet, so there is no model to keep."
    else:
        kept = f"The best model up to then is kept: `lfads infer` takes {run.path} as it is."
    return f" {kept} Resuming would end in the same way: search again with another --out."


def _conclude(
    run: RunFolder,
    assembly: Assembly,
    plan: SearchPlan,
    state: SearchState,
    ending: Ending,
    watcher: Observer,
    *,
    signal: str | None,
) -> None:
    if ending.kind == "interrupted":
        run.set_status("interrupted", reason=signal)
        watcher.message(
            f"stored after epoch {state.population.epoch - 1}; go on with: lfads resume {run.path}"
        )
        return
    _record_ending(run, assembly, plan, state, ending)
    run.set_status("finished", reason=ending.text)
    watcher.message(f"the search ended: {ending.text}")


def _record_ending(
    run: RunFolder, assembly: Assembly, plan: SearchPlan, state: SearchState, ending: Ending
) -> None:
    """Note in `run.json` how much was searched, why it ended and who won."""
    record = run.read_record()
    best = _best(state.archive, plan)
    n_member_epochs = sum(len(row["valid_score"]) for row in run.metrics.read())
    found = {
        "method": plan.settings.method,
        "generations": state.generation + 1,
        "stop": ending.kind,
        "stop_reason": ending.text,
        "member_epochs": n_member_epochs,
        "n_validation_passes": n_member_epochs,
        "best": best,
    }
    search = {**record.search, **found}
    run.write_record(replace(record, search=search, beta=_betas_of_best(run, assembly, best)))


def _best(archive: Archive, plan: SearchPlan) -> dict[str, Any]:
    """The winner, in JSON values; empty where no epoch counted as best."""
    ranked = archive.ranked()
    if not ranked:
        return {}
    models = archive.models
    row = models.members.tolist().index(ranked[0])
    epoch, schedule = int(models.epoch[row]), plan.schedule
    generation = schedule.first_generation
    while schedule.end(generation) <= epoch:
        generation += 1
    return {
        "member": ranked[0],
        "slot": int(archive.slot[row]),
        "epoch": epoch,
        "generation": generation,
        "score": float(models.score[row]),
        "hyperparameters": {name: float(value[row]) for name, value in _dotted(archive).items()},
    }


def _dotted(archive: Archive) -> dict[str, Any]:
    """Hyperparameters [F] of the lines' best models by dotted name."""
    from lfads_torch.search.space import MOVABLE

    own = archive.models.hyperparameters
    return {name: own.value(field) for name, field in MOVABLE.items()} | dict(own.own)


def _betas_of_best(run: RunFolder, assembly: Assembly, best: dict[str, Any]) -> dict[str, float]:
    """Weights of the divergences of the winner, in units of the evidence bound."""
    from lfads_torch.config.scales import betas

    found = best.get("hyperparameters")
    if found is None:
        return dict(run.read_record().beta)
    loss = replace(
        assembly.settings.loss,
        kl_initial_condition_scale=found["loss.kl_initial_condition_scale"],
        kl_input_scale=found["loss.kl_input_scale"],
        kl_scale_unit="published",
    )
    beta = betas(replace(assembly.settings, loss=loss), assembly.data_sizes)
    return {"initial_condition": beta.initial_condition, "inputs": beta.inputs}
