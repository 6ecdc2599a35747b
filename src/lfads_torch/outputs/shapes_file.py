"""`shapes.json`: a random search over shapes, each a run in a folder of its own beside the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lfads_torch.outputs.json_record import RecordFormat
from lfads_torch.outputs.typed_record import typed_record

__all__ = ["SHAPES", "WAITING", "Shape", "ShapesRecord", "read_shapes", "write_shapes"]

SHAPES = "shapes.json"
FORMAT = RecordFormat(name="lfads-torch shapes", version=1, title="a search over shapes")
WAITING = "waiting"  # of a shape whose run has not begun


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape and how its search stands."""

    folder: str  # beside the file
    settings: Mapping[str, int]  # dotted name -> the value drawn
    members: int
    seed: int
    status: str = WAITING
    reason: str | None = None  # why it failed or was interrupted
    score: float | None = None  # smoothed validation reconstruction, nats per entry
    rank: int | None = None  # 1: the best


@dataclass(frozen=True, kw_only=True)
class ShapesRecord:
    """All shapes; the best is named once a search has ended with a score."""

    command: tuple[str, ...] = ()
    seed: int = 0
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()

    @property
    def best(self) -> str | None:
        return next((each.folder for each in self.shapes if each.rank == 1), None)

    def having(self, n: int, **values: object) -> ShapesRecord:
        """With these values of the n-th shape, and all ranked anew; equal scores by the order."""
        shapes = list(self.shapes)
        shapes[n] = replace(shapes[n], **values)  # type: ignore[arg-type]  # names are the caller's
        scored = [k for k, each in enumerate(shapes) if each.score is not None]
        ranked = sorted(scored, key=lambda k: shapes[k].score or 0.0)
        place = {k: rank for rank, k in enumerate(ranked, start=1)}
        return replace(
            self, shapes=tuple(replace(s, rank=place.get(k)) for k, s in enumerate(shapes))
        )


def write_shapes(path: Path, record: ShapesRecord) -> None:
    """Write the file whole or not at all."""
    FORMAT.write(path, record, best=record.best)


def read_shapes(path: Path) -> ShapesRecord:
    """The record. Raises RunError where it is damaged, FormatError where it is newer."""
    return FORMAT.read(path, lambda content: typed_record(ShapesRecord, content))
