"""Folders that hold several runs and one record: what `status` and `evaluate` say of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.cli.streams import aligned
from lfads_torch.errors import RunError

if TYPE_CHECKING:
    from lfads_torch.outputs.left_out_file import LeftOutRecord

__all__ = ["joint_record", "joint_scores", "joint_standing", "need_one_run"]


def joint_record(folder: Path) -> Any:  # LeftOutRecord or ShapesRecord; their module is heavy
    """The record of sessions left out, or of a search over shapes; None of any other folder."""
    from lfads_torch.outputs.left_out_file import LEFT_OUT, read_left_out
    from lfads_torch.outputs.shapes_file import SHAPES, read_shapes

    if (folder / LEFT_OUT).is_file():
        return read_left_out(folder / LEFT_OUT)
    if (folder / SHAPES).is_file():
        return read_shapes(folder / SHAPES)
    return None


def need_one_run(folder: Path) -> None:
    """Raise RunError for a folder of several runs and one record: not `resume` goes on there."""
    from lfads_torch.outputs.left_out_file import LEFT_OUT
    from lfads_torch.outputs.shapes_file import SHAPES

    made_by = {LEFT_OUT: "lfads leave-one-out", SHAPES: "lfads search"}
    for name, command in made_by.items():
        if (folder / name).is_file():
            raise RunError(
                f"{folder}: holds the runs of one `{command}` ({name} lists them), and is no run "
                f"itself. Go on with that `{command}` command and --resume-if-exists: it trains "
                "what is left, and then scores and compares; a run resumed alone lacks that."
            )


def joint_standing(record: Any, folder: Path) -> str:  # what `joint_record` gives
    """How its runs stand, and their scores."""
    from lfads_torch.cli.leave_one_out import left_out_table
    from lfads_torch.cli.search_shapes import shapes_table
    from lfads_torch.outputs.inspect_records import state_of
    from lfads_torch.outputs.left_out_file import LeftOutRecord

    if not isinstance(record, LeftOutRecord):
        best = [("best:", str(folder / record.best))] if record.best else []
        return "\n".join([shapes_table(record), *([aligned(best)] if best else [])])
    states = [("session", "state", "folders")]
    states += [
        (each.session, state_of(each, folder), ", ".join(each.runs.values()))
        for each in record.sessions
    ]
    return f"{aligned(states)}\n\n{_HEAD}\n{left_out_table(record)}"


def joint_scores(record: LeftOutRecord) -> str:
    """Every score of every session that was left out, and of all together."""
    parts = [(each.session, each.scores) for each in record.sessions]
    parts += [("all sessions", record.pooled)] if record.pooled else []
    return "\n\n".join(f"{name}:\n{aligned(_table(rows))}" for name, rows in parts if rows)


_HEAD = "co-smoothing, bits/spike; difference: the added session's less the other's"
_TITLES = ("  score", "set", "trials", "added", "interval", "together", "alone")


def _table(rows: Sequence[Any]) -> list[tuple[str, ...]]:  # rows of leave_one_out.json
    """A line for each score, without the columns in which none has a value."""
    lines = [_score_line(row) for row in rows]
    shown = [n for n, column in enumerate(zip(*lines, strict=True)) if set(column) - {"", "-"}]
    return [tuple(line[n] for n in shown) for line in (_TITLES, *lines)]


def _score_line(row: Any) -> tuple[str, ...]:  # a row of leave_one_out.json
    interval = "" if row["low"] is None else f"{row['low']:.4g} to {row['high']:.4g}"
    others = (row.get(kind) for kind in ("together", "alone"))
    return (
        f"  {row['name']}",
        str(row["set"]),
        str(row["n_trials"]),
        f"{row['added']:.4g} {row['unit']}".strip(),
        interval,
        *("-" if each is None else f"{each['value']:.4g}" for each in others),
    )
