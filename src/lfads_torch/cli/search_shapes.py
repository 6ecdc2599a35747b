"""`lfads search --shapes`: what it prints, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.cli.streams import aligned, say

if TYPE_CHECKING:
    from lfads_torch.cli.run_arguments import RunArguments
    from lfads_torch.cli.watch import Watch
    from lfads_torch.outputs.shapes_file import Shape, ShapesRecord
    from lfads_torch.workflows.search_file import SearchRequest

__all__ = ["run_shapes", "shapes_table"]


def run_shapes(request: SearchRequest, n_shapes: int, arguments: RunArguments) -> int:
    """Search over shapes, and print the table and the folder of the best."""
    from lfads_torch.workflows.shapes import ShapesRequest, search_shapes

    @contextmanager
    def watching(folder: Path) -> Iterator[Watch]:
        from lfads_torch.cli.outcome import recorded_in
        from lfads_torch.cli.watch import Watch

        with (
            recorded_in(folder / "log.txt"),
            Watch(folder, is_quiet=arguments.quiet, has_tensorboard=arguments.tensorboard) as watch,
        ):
            yield watch

    record = search_shapes(
        ShapesRequest(search=request, n_shapes=n_shapes),
        watching,
        say=(lambda text: None) if arguments.quiet else say,
    )
    return _print(record, request.fit.folder)


def shapes_table(record: ShapesRecord) -> str:
    """A line per shape, the best first; those without a score last."""
    names = list(record.ranges)
    head = ["rank", "folder", *names, "members", "score", "status"]
    shapes = sorted(record.shapes, key=lambda each: each.rank or len(record.shapes) + 1)
    return aligned([head, *(_line(each, names) for each in shapes)])


def _line(shape: Shape, names: list[str]) -> list[str]:
    values = [str(shape.settings[name]) for name in names]
    score = "-" if shape.score is None else f"{shape.score:.6f}"
    rank = "-" if shape.rank is None else str(shape.rank)
    return [rank, shape.folder, *values, str(shape.members), score, shape.status]


def _print(record: ShapesRecord, folder: Path) -> int:
    from lfads_torch.cli.outcome import INTERRUPTED_CODE, TERMINATED_CODE

    print(shapes_table(record))
    for shape in record.shapes:
        if shape.status == "interrupted":
            say("stopped; go on with the same command and --resume-if-exists")
            return TERMINATED_CODE if shape.reason == "SIGTERM" else INTERRUPTED_CODE
    if record.best is None:
        say(f"no shape ended with a score; {folder / 'shapes.json'} says why")
        return 1
    print(aligned([("best:", str(folder / record.best)), ("table:", str(folder / "shapes.json"))]))
    return 0
