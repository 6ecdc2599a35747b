"""Random search over shapes: one search after the other, each of one shape, in folders of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lfads_torch.errors import (
    DivergenceError,
    OutOfMemoryError,
    OutputError,
    RunError,
    SettingsError,
)
from lfads_torch.outputs.run_folder import RunFolder, discard_runs
from lfads_torch.outputs.run_record import FINISHED, INTERRUPTED
from lfads_torch.outputs.shapes_file import (
    SHAPES,
    Shape,
    ShapesRecord,
    read_shapes,
    write_shapes,
)
from lfads_torch.workflows.search_file import SearchRequest, search_file

if TYPE_CHECKING:
    from lfads_torch.config.shape_choice import ShapeRange
    from lfads_torch.config.space import SpaceChoice
    from lfads_torch.config.tree import Settings
    from lfads_torch.workflows.fit import Observer

__all__ = [
    "ShapeSearch",
    "ShapesPlan",
    "ShapesRequest",
    "Watching",
    "search_every_shape",
    "search_shapes",
]

Watching = Callable[[Path], AbstractContextManager["Observer"]]


@dataclass(frozen=True, kw_only=True)
class ShapesRequest:
    """A random search whose ranges name settings that change shapes, and how many shapes.

    The folder of `search.fit` is to hold a run folder per shape; its population is divided
    between the shapes.
    """

    search: SearchRequest
    n_shapes: int


@dataclass(frozen=True, kw_only=True)
class ShapesPlan:
    """What is searched over shapes, wherever the recordings come from."""

    folder: Path  # to hold a run folder per shape
    settings: Settings  # its population is divided between the shapes
    choice: SpaceChoice
    n_shapes: int
    overwrite: bool = False
    resume_if_exists: bool = False
    command: tuple[str, ...] = ()


class ShapeSearch(Protocol):
    """The random search of one shape; `plan.choice` has no ranges of shapes any more."""

    def __call__(
        self, settings: Settings, folder: Path, plan: ShapesPlan, observer: Observer
    ) -> RunFolder: ...


def search_shapes(
    request: ShapesRequest, watching: Watching, *, say: Callable[[str], None]
) -> ShapesRecord:
    """As `search_every_shape`, of recordings in files."""
    fit = request.search.fit

    def search_one(
        settings: Settings, folder: Path, plan: ShapesPlan, observer: Observer
    ) -> RunFolder:
        own = replace(
            fit,
            folder=folder,
            settings=settings,
            overwrite=plan.overwrite,
            resume_if_exists=plan.resume_if_exists,
        )
        return search_file(replace(request.search, choice=plan.choice, fit=own), observer)

    plan = ShapesPlan(
        folder=fit.folder,
        settings=fit.settings,
        choice=request.search.choice,
        n_shapes=request.n_shapes,
        overwrite=fit.overwrite,
        resume_if_exists=fit.resume_if_exists,
        command=fit.command,
    )
    return search_every_shape(plan, search_one, watching, say=say)


def search_every_shape(
    plan: ShapesPlan, search_one: ShapeSearch, watching: Watching, *, say: Callable[[str], None]
) -> ShapesRecord:
    """Search every shape in turn; `watching` gives each run its observer.

    A shape that diverges or does not fit in memory is recorded as failed, and the next one
    begins. After a signal the rest is left for `resume_if_exists`. Raises SettingsError before
    anything is written, RunError where the folder holds other searches.
    """
    folder = plan.folder
    record, rest = _begin(plan, say)
    for n, shape in enumerate(record.shapes):
        if shape.status == FINISHED and RunFolder.is_run(folder / shape.folder):
            say(f"{folder / shape.folder} is finished; it stays as it is")
            continue
        say(f"{shape.folder}, {n + 1} of {len(record.shapes)}: {_listed(shape.settings)}")
        settings = _settings_of(plan.settings, shape)
        with watching(folder / shape.folder) as observer:
            try:
                run = search_one(settings, folder / shape.folder, rest, observer)
                outcome = _outcome(run)
            except (DivergenceError, OutOfMemoryError) as error:
                observer.message(str(error))
                outcome = {"status": "failed", "reason": str(error), "score": None}
        record = record.having(n, **outcome)
        write_shapes(folder / SHAPES, record)
        if outcome["status"] == INTERRUPTED:
            break
    return record


def _begin(plan: ShapesPlan, say: Callable[[str], None]) -> tuple[ShapesRecord, ShapesPlan]:
    """The record on disk, or a new one; and the plan without what is drawn by shape."""
    from lfads_torch.config.shape_choice import part_shapes

    _require_random(plan)
    choice, ranges = part_shapes(plan.choice)
    rest = replace(plan, choice=choice)
    drawn = _drawn(plan, ranges)
    for shape in drawn.shapes:  # before anything is written
        _settings_of(plan.settings, shape)
    before = _stored(plan.folder)
    if before is not None and plan.resume_if_exists:
        if (before.ranges, len(before.shapes)) != (drawn.ranges, len(drawn.shapes)):
            say(
                f"{plan.folder} was begun with other shapes ({SHAPES} has them); those hold, not "
                "those of this command"
            )
        return before, replace(rest, overwrite=False)
    _require_free(plan.folder, drawn, before, overwrite=plan.overwrite)
    plan.folder.mkdir(parents=True, exist_ok=True)
    if before is not None:
        # Before the new record: a resumption takes what is finished beside it as its own.
        discard_runs(plan.folder / each.folder for each in before.shapes)
    write_shapes(plan.folder / SHAPES, drawn)
    return drawn, replace(rest, resume_if_exists=False)


def _require_random(plan: ShapesPlan) -> None:
    search = plan.settings.search
    if search.method != "random":
        raise SettingsError(
            f"shapes (--shapes) are for a random search, and search.method is {search.method}: "
            "members copy "
            "each other's weights or are given, and models of different shapes have no weights in "
            'common. Add --method random (method="random" in Python).'
        )
    if not 1 <= plan.n_shapes <= search.population:
        raise SettingsError(
            f"shapes (--shapes) is {plan.n_shapes}; needed is a number from 1 to the population, "
            f"{search.population}; every shape gets members of its own."
        )


def _drawn(plan: ShapesPlan, ranges: tuple[ShapeRange, ...]) -> ShapesRecord:
    """Shapes, their members and seeds, from the run's seed."""
    import numpy as np

    from lfads_torch.config.shape_choice import draw_shapes

    n_shapes, run = plan.n_shapes, plan.settings.run
    values = draw_shapes(ranges, n_shapes, seed=run.seed)
    each, left = divmod(plan.settings.search.population, n_shapes)
    seeds = np.random.SeedSequence(run.seed).generate_state(n_shapes)
    return ShapesRecord(
        command=plan.command,
        seed=run.seed,
        ranges={r.name: (r.low, r.high) for r in ranges},
        shapes=tuple(
            Shape(
                folder=f"shape_{n}",
                settings=values[n],
                members=each + (n < left),
                seed=int(seeds[n]),
            )
            for n in range(n_shapes)
        ),
    )


def _stored(folder: Path) -> ShapesRecord | None:
    """None where nothing has begun; a record of shapes that all wait costs nothing."""
    path = folder / SHAPES
    if not path.is_file():
        return None
    record = read_shapes(path)
    has_begun = any(RunFolder.is_run(folder / each.folder) for each in record.shapes)
    return record if has_begun else None


def _require_free(
    folder: Path, drawn: ShapesRecord, before: ShapesRecord | None, *, overwrite: bool
) -> None:
    if before is not None and not overwrite:
        n_done = sum(each.status == FINISHED for each in before.shapes)
        raise RunError(
            f"{folder}: holds a search over shapes already ({n_done} of {len(before.shapes)} are "
            "finished). Choose another folder (--out; run_folder in Python), go on "
            "(--resume-if-exists), or "
            "replace it (--overwrite)."
        )
    if folder.is_file():
        raise OutputError(f"{folder}: is a file; a folder is needed. Choose another one.")
    ours = {SHAPES, *(each.folder for each in drawn.shapes)} if before is not None else {SHAPES}
    found = sorted(os.listdir(folder)) if folder.exists() else []
    strange = [name for name in found if name not in ours and ".part" not in name]
    if strange:
        raise OutputError(
            f"{folder}: the folder holds {', '.join(strange[:3])}"
            f"{', ...' if len(strange) > 3 else ''}; for a run per shape an empty one is needed. "
            "Choose another (--out; run_folder in Python), or move that away."
        )


def _settings_of(settings: Settings, shape: Shape) -> Settings:
    from lfads_torch.config.check import replace_values

    own = {"search.population": shape.members, "run.seed": shape.seed}
    return replace_values(settings, {**shape.settings, **own})


def _outcome(run: RunFolder) -> dict[str, object]:
    """How a search ended: values of a `Shape`."""
    record = run.read_record()
    best: Mapping[str, object] = record.search.get("best", {})
    return {
        "status": record.status,
        "reason": record.reason if record.status != FINISHED else None,
        "score": best.get("score"),
    }


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
