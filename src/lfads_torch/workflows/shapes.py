"""Random search over shapes: one search after the other, each of one shape, in folders of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import (
    DivergenceError,
    OutOfMemoryError,
    OutputError,
    RunError,
    SettingsError,
)
from lfads_torch.outputs.run_folder import RunFolder
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
    from lfads_torch.config.settings import RunSettings
    from lfads_torch.config.shape_choice import ShapeRange
    from lfads_torch.config.tree import Settings
    from lfads_torch.workflows.fit import Observer

__all__ = ["ShapesRequest", "Watching", "search_shapes"]

Watching = Callable[[Path], AbstractContextManager["Observer"]]


@dataclass(frozen=True, kw_only=True)
class ShapesRequest:
    """A random search whose ranges name settings that change shapes, and how many shapes.

    The folder of `search.fit` is to hold a run folder per shape; its population is divided
    between the shapes.
    """

    search: SearchRequest
    n_shapes: int


def search_shapes(
    request: ShapesRequest, watching: Watching, *, say: Callable[[str], None]
) -> ShapesRecord:
    """Search every shape in turn; `watching` gives each run its observer.

    A shape that diverges or does not fit in memory is recorded as failed, and the next one
    begins. After a signal the rest is left for `resume_if_exists`. Raises SettingsError before
    anything is written, RunError where the folder holds other searches.
    """
    folder = request.search.fit.folder
    record, rest = _begin(request, say)
    for n, shape in enumerate(record.shapes):
        if shape.status == FINISHED and RunFolder.is_run(folder / shape.folder):
            say(f"{folder / shape.folder} is finished; it stays as it is")
            continue
        say(f"{shape.folder}, {n + 1} of {len(record.shapes)}: {_listed(shape.settings)}")
        with watching(folder / shape.folder) as observer:
            outcome = _outcome(_of_shape(rest, shape), observer)
        record = record.having(n, **outcome)
        write_shapes(folder / SHAPES, record)
        if outcome["status"] == INTERRUPTED:
            break
    return record


def _begin(
    request: ShapesRequest, say: Callable[[str], None]
) -> tuple[ShapesRecord, SearchRequest]:
    """The record on disk, or a new one; and the request without what is drawn by shape."""
    from lfads_torch.config.shape_choice import part_shapes

    fit = request.search.fit
    _require_random(request)
    choice, ranges = part_shapes(request.search.choice)
    rest = replace(request.search, choice=choice)
    drawn = _drawn(request, ranges)
    for shape in drawn.shapes:  # before anything is written
        _settings_of(fit.settings, shape)
    before = _stored(fit.folder)
    if before is not None and fit.resume_if_exists:
        if (before.ranges, len(before.shapes)) != (drawn.ranges, len(drawn.shapes)):
            say(
                f"{fit.folder} was begun with other shapes ({SHAPES} has them); those hold, not "
                "those of this command"
            )
        return before, _with_fit(rest, overwrite=False)
    _require_free(fit.folder, drawn, before, overwrite=fit.overwrite)
    fit.folder.mkdir(parents=True, exist_ok=True)
    write_shapes(fit.folder / SHAPES, drawn)
    return drawn, _with_fit(rest, resume_if_exists=False)


def _with_fit(request: SearchRequest, **values: Any) -> SearchRequest:  # fields of a FitRequest
    return replace(request, fit=replace(request.fit, **values))


def _require_random(request: ShapesRequest) -> None:
    search = request.search.fit.settings.search
    if search.method != "random":
        raise SettingsError(
            f"--shapes is for a random search, and search.method is {search.method}: members copy "
            "each other's weights or are given, and models of different shapes have no weights in "
            "common. Add --method random."
        )
    if not 1 <= request.n_shapes <= search.population:
        raise SettingsError(
            f"--shapes {request.n_shapes}: needed is a number from 1 to the population, "
            f"{search.population}; every shape gets members of its own."
        )


def _drawn(request: ShapesRequest, ranges: tuple[ShapeRange, ...]) -> ShapesRecord:
    """Shapes, their members and seeds, from the run's seed."""
    import numpy as np

    from lfads_torch.config.shape_choice import draw_shapes

    fit, n_shapes = request.search.fit, request.n_shapes
    run: RunSettings = fit.settings.run
    values = draw_shapes(ranges, n_shapes, seed=run.seed)
    each, left = divmod(fit.settings.search.population, n_shapes)
    seeds = np.random.SeedSequence(run.seed).generate_state(n_shapes)
    return ShapesRecord(
        command=fit.command,
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
            "finished). Choose another --out, go on with --resume-if-exists, or replace it with "
            "--overwrite."
        )
    if folder.is_file():
        raise OutputError(f"{folder}: is a file; a folder is needed. Choose another --out.")
    ours = {SHAPES, *(each.folder for each in drawn.shapes)} if before is not None else {SHAPES}
    found = sorted(os.listdir(folder)) if folder.exists() else []
    strange = [name for name in found if name not in ours and ".part" not in name]
    if strange:
        raise OutputError(
            f"{folder}: the folder holds {', '.join(strange[:3])}"
            f"{', ...' if len(strange) > 3 else ''}; for a run per shape an empty one is needed. "
            "Choose another --out, or move that away."
        )


def _of_shape(request: SearchRequest, shape: Shape) -> SearchRequest:
    """The request of one shape's own search."""
    fit = request.fit
    return _with_fit(
        request, folder=fit.folder / shape.folder, settings=_settings_of(fit.settings, shape)
    )


def _settings_of(settings: Settings, shape: Shape) -> Settings:
    from lfads_torch.config.check import replace_values

    own = {"search.population": shape.members, "run.seed": shape.seed}
    return replace_values(settings, {**shape.settings, **own})


def _outcome(request: SearchRequest, observer: Observer) -> dict[str, object]:
    """Search, and say how it ended: values of a `Shape`."""
    try:
        run = search_file(request, observer)
    except (DivergenceError, OutOfMemoryError) as error:
        observer.message(str(error))
        return {"status": "failed", "reason": str(error), "score": None}
    record = run.read_record()
    best: Mapping[str, object] = record.search.get("best", {})
    return {
        "status": record.status,
        "reason": record.reason if record.status != FINISHED else None,
        "score": best.get("score"),
    }


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
