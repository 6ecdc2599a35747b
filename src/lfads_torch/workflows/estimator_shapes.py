"""`AutoLFADS(shapes=...)`: a random search over shapes of recordings in memory."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import DivergenceError, RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import INTERRUPTED
from lfads_torch.outputs.shapes_file import SHAPES, Shape, ShapesRecord, read_shapes

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.fit import FitOptions, Observer
    from lfads_torch.workflows.listener import Listener
    from lfads_torch.workflows.shapes import ShapesPlan

__all__ = ["best_of_shapes", "shapes_beside", "whole_number_of_shapes"]


def best_of_shapes(
    recordings: Recording | tuple[Recording, ...],
    plan: ShapesPlan,
    *,
    options: FitOptions,
    listener: Listener,
) -> RunFolder:
    """Search every shape and give the run of the best one; all lie in `plan.folder`.

    Where a signal ended it that is the best so far. Raises DivergenceError where no shape ended
    with a score, RunError where the folder holds a search already.
    """
    from lfads_torch.workflows.search import search_run
    from lfads_torch.workflows.shapes import search_every_shape

    def search_one(
        settings: Settings, folder: Path, plan: ShapesPlan, observer: Observer
    ) -> RunFolder:
        return search_run(
            recordings,
            settings,
            folder,
            choice=plan.choice,
            options=replace(options, overwrite=plan.overwrite),
            observer=observer,
        )

    if (plan.folder / SHAPES).is_file() and not plan.overwrite:
        raise RunError(
            f"{plan.folder}: holds a search over shapes already. Give another run_folder, or "
            "AutoLFADS.load one of the runs in it."
        )
    record = search_every_shape(
        plan, search_one, lambda folder: nullcontext(listener), say=listener.message
    )
    return _best(record, plan.folder)


def _best(record: ShapesRecord, folder: Path) -> RunFolder:
    if record.best is not None:
        return RunFolder(folder / record.best)
    stopped = [shape.folder for shape in record.shapes if shape.status == INTERRUPTED]
    if stopped:
        return RunFolder(folder / stopped[0])
    reasons = "; ".join(f"{shape.folder}: {shape.reason}" for shape in record.shapes)
    raise DivergenceError(f"{folder}: no shape ended with a score. {reasons}")


def shapes_beside(run: RunFolder) -> tuple[Shape, ...]:
    """The shapes of the search that a run is one of, best first; () where it is a whole search."""
    path = run.path.parent / SHAPES
    if not path.is_file():
        return ()
    shapes = read_shapes(path).shapes
    if run.path.name not in [shape.folder for shape in shapes]:
        return ()
    return tuple(sorted(shapes, key=lambda shape: shape.rank or len(shapes) + 1))


def whole_number_of_shapes(shapes: object, values: object) -> int:
    """The argument, checked; `values` is that argument of `AutoLFADS`."""
    if isinstance(shapes, bool) or not isinstance(shapes, int):
        raise SettingsError(
            f"AutoLFADS(shapes=...) is {shapes!r}; needed is how many shapes to try, a whole "
            "number, or None."
        )
    if values is not None:
        raise SettingsError(
            "AutoLFADS(values=...) gives every member, and shapes draws them. Leave one of them "
            "out."
        )
    return shapes
