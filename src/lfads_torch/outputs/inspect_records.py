"""What records that stand beside several runs, or choose among models, say in short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfads_torch.counted import counted
from lfads_torch.outputs.ensemble_file import FORMAT as ENSEMBLE_FORMAT
from lfads_torch.outputs.left_out_file import FORMAT as LEFT_OUT_FORMAT
from lfads_torch.outputs.left_out_file import WAITING, LeftOut, read_left_out
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_status import status
from lfads_torch.outputs.shapes_file import FORMAT as SHAPES_FORMAT
from lfads_torch.outputs.shapes_file import read_shapes

__all__ = ["describe_left_out", "describe_record", "describe_shapes", "state_of"]

Description = dict[str, Any]  # JSON values


def describe_record(path: Path, content: Mapping[str, Any]) -> Description | None:
    """Of a file that begins with the format of such a record; None of other files."""
    kinds = {LEFT_OUT_FORMAT.name: describe_left_out, SHAPES_FORMAT.name: describe_shapes}
    kind = str(content.get("format", ""))
    if kind in kinds:
        return kinds[kind](path)
    return _ensemble(content) if kind == ENSEMBLE_FORMAT else None


def describe_left_out(path: Path) -> Description:
    """How each session that was left out stands, and its co-smoothing."""
    record = read_left_out(path)
    few = None if record.n_trials is None else f"{record.n_trials} training trials"
    return {
        "what": "leave-one-out",
        "format": LEFT_OUT_FORMAT.name,
        "run of all sessions": record.run,
        **({"few-shot": few} if few else {}),
        "sessions": {each.session: _left_out(each, path.parent) for each in record.sessions},
        **({"pooled": _scores(record.pooled)} if record.pooled else {}),
    }


def describe_shapes(path: Path) -> Description:
    """The ranges, and every shape with its score."""
    record = read_shapes(path)
    return {
        "what": "shapes",
        "format": SHAPES_FORMAT.name,
        "best": record.best,
        "seed": record.seed,
        "ranges": {name: f"{low} .. {high}" for name, (low, high) in record.ranges.items()},
        "shapes": {
            each.folder: ", ".join(
                [
                    "no score"
                    if each.rank is None
                    else f"rank {each.rank}, score {each.score:.6g}",
                    *(f"{name} {value}" for name, value in each.settings.items()),
                    counted(each.members, "member"),
                    each.status + (f" ({each.reason})" if each.reason else ""),
                ]
            )
            for each in record.shapes
        },
    }


def state_of(each: LeftOut, folder: Path) -> str:
    """How a session's runs stand: its own status, or that of those that have begun."""
    reason = f" ({each.reason})" if each.reason else ""
    if each.status != WAITING:
        return each.status + reason
    begun = [
        f"{kind} {status(folder / place)['status']}"
        for kind, place in each.runs.items()
        if RunFolder.is_run(folder / place)
    ]
    return ", ".join(begun) or each.status


def _left_out(each: LeftOut, folder: Path) -> str:
    scores = _scores(each.scores)
    return state_of(each, folder) + (f"; {scores}" if scores else "")


def _scores(rows: tuple[Mapping[str, Any], ...]) -> str:
    row = next((each for each in rows if each["name"] == "co_smoothing_bits_per_spike"), None)
    if row is None:
        return ""
    others = "".join(
        f", {kind} {row[kind]['value']:.4g}"
        for kind in ("together", "alone")
        if isinstance(row.get(kind), Mapping)
    )
    return f"co-smoothing {row['added']:.4g} bits/spike ({row['set']} trials){others}"


def _ensemble(content: Mapping[str, Any]) -> Description:
    members, nats = content.get("members", []), content.get("nats", [])
    return {
        "what": "ensemble",
        "format": ENSEMBLE_FORMAT,
        "validation trials": content.get("n_trials"),
        "tried": len(content.get("candidates", [])),
        "models": {
            str(n): f"member {member}" + (f", {value:.6g} nats per entry so far" if nats else "")
            for n, (member, value) in enumerate(
                zip(members, nats or [0.0] * len(members), strict=False), start=1
            )
        },
    }
