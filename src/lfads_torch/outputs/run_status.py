"""How a run stands, from its folder alone: what `lfads status` prints."""

from __future__ import annotations

import os
from typing import Any

from lfads_torch.outputs.metrics_log import Row
from lfads_torch.outputs.missing_results import missing_results, results_command
from lfads_torch.outputs.run_folder import RESULTS, SPACE, RunFolder
from lfads_torch.outputs.run_record import INTERRUPTED, RUNNING
from lfads_torch.outputs.search_status import search_status

__all__ = ["status"]

RECENT_EPOCHS = 20


def status(path: str | os.PathLike[str]) -> dict[str, Any]:  # JSON values, None where unknown
    """Status, progress and files of a run; safe to call while it trains.

    A run that calls itself running while no process holds its lock was killed: it is reported as
    interrupted. `lowest_score` is the lowest smoothed validation score so far, per member; in a
    search, where members are replaced, it is empty and `search` has the best.
    `missing` are the results that a finished run lacks, `results_error` why writing them failed,
    and `next` is the command that goes on or writes them.
    `seconds_left` assumes that training goes on to the last epoch allowed.
    """
    run = RunFolder.open(path)
    record = run.read_record()
    process = run.living_process()
    was_killed = record.status == RUNNING and process is None
    rows = run.metrics.read()
    settings = _settings(run)
    epochs = _whole(settings.get("training", {}).get("epochs"))
    search = search_status(run, record, settings.get("search", {}), n_members=_n_members(rows))
    return {
        "path": str(run.path),
        "status": INTERRUPTED if was_killed else record.status,
        "reason": "the process is gone without notice" if was_killed else record.reason,
        "missing": [] if process or not results_command(run) else list(missing_results(run)),
        "results_error": record.results_error,
        "next": _next_command(run) if process is None else None,
        "process": None if process is None else process.pid,
        "host": None if process is None else process.host,
        "can_resume": run.can_resume and process is None,
        "start": record.start,
        "end": record.end,
        "seed": record.seed,
        "n_members": record.n_members,
        "data_path": record.data_path,
        "sessions": list(record.sessions),
        "epochs_at_most": epochs,
        **_progress(rows, epochs, is_search=search is not None),
        "search": search,
        "files": [name for name in (SPACE, *RESULTS) if (run.path / name).is_file()],
        "n_bytes": sum(f.stat().st_size for f in run.path.rglob("*") if f.is_file()),
    }


def _next_command(run: RunFolder) -> str | None:
    """What goes on with a run, or writes what it lacks; None where nothing is to do."""
    if run.can_resume:
        return f"lfads resume {run.path}"
    return results_command(run) or None


def _progress(rows: list[Row], epochs: int | None, *, is_search: bool) -> dict[str, Any]:
    last: Row = rows[-1] if rows else {}
    seconds = [row["seconds"] for row in rows if isinstance(row.get("seconds"), (int, float))]
    recent = sorted(seconds[-RECENT_EPOCHS:])
    per_epoch = recent[len(recent) // 2] if recent else None
    left = None
    if per_epoch is not None and epochs is not None:
        left = per_epoch * max(0, epochs - len(rows))
    lowest, lowest_epoch = ([], []) if is_search else _lowest_score(rows)
    return {
        "n_epochs": len(rows),
        "epoch": last.get("epoch"),
        "step": last.get("step"),
        "loss": last.get("loss"),
        "score": last.get("valid_score"),
        "lowest_score": lowest,
        "lowest_score_epoch": lowest_epoch,
        "training_seconds": sum(seconds),
        "seconds_per_epoch": per_epoch,
        "seconds_left": left,
    }


def _n_members(rows: list[Row]) -> int | None:
    """Who trained in the last epoch: a search that goes on may have more or fewer members."""
    scores = rows[-1].get("valid_score") if rows else None
    return len(scores) if isinstance(scores, list) else None


def _lowest_score(rows: list[Row]) -> tuple[list[float | None], list[int | None]]:
    lowest: list[float | None] = []
    epochs: list[int | None] = []
    for row in rows:
        scores = row.get("valid_score")
        for member, score in enumerate(scores if isinstance(scores, list) else [scores]):
            while len(lowest) <= member:
                lowest.append(None)
                epochs.append(None)
            best = lowest[member]
            if score is not None and (best is None or score < best):
                lowest[member], epochs[member] = score, row["epoch"]
    return lowest, epochs


def _settings(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Sections of the settings; those that are missing or not readable are left out."""
    import yaml

    try:
        content = yaml.safe_load(run.settings_path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    sections = content.items() if isinstance(content, dict) else ()
    return {str(name): part for name, part in sections if isinstance(part, dict)}


def _whole(value: Any) -> int | None:  # a YAML value
    return value if isinstance(value, int) and not isinstance(value, bool) else None
