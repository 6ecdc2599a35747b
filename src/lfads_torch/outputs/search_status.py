"""How a search stands, from its run folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import LfadsError
from lfads_torch.outputs.history_file import Row, read_history, searched_names

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.run_record import RunRecord

__all__ = ["search_status"]


def search_status(
    run: RunFolder, record: RunRecord, settings: Mapping[str, Any], *, n_members: int | None
) -> dict[str, Any] | None:
    """What is known of a search; None for a fit. `settings`: of the section `search`;
    `n_members`: who trained in the last epoch, where that is known.

    Safe while it runs: `history.csv` is written whole after every generation. `best` is that of
    the whole search so far, of the line that began in `founder`; empty before there is any.
    """
    if not record.search:
        return None
    rows: list[Row] = []
    with suppress(LfadsError):  # a damaged table is told by who needs it
        rows = read_history(run.history_path)
    done = [row["generation"] for row in rows]
    last = [row for row in rows if row["generation"] == done[-1]] if rows else []
    return {
        "method": record.search.get("method"),
        "generations": max(done, default=-1) + 1,
        "halving_rounds": len({generation for generation in done if generation < 0}),
        "generations_at_most": settings.get("generations"),
        "members": n_members or len(last) or record.n_members,
        "frozen": {str(row["member"]): row.get("broke") for row in last if row.get("is_frozen")},
        "best": _best(rows),
        "stop_reason": record.search.get("stop_reason"),
        "searched": searched_names(rows),
    }


def _best(rows: list[Row]) -> dict[str, Any]:
    """The lowest score that any line has reached, and where."""
    scored = [row for row in rows if row.get("best_score") is not None]
    if not scored:
        return {}
    best = min(scored, key=lambda row: float(row["best_score"]))  # of equal ones the first
    return {
        "score": best["best_score"],
        "epoch": best.get("best_epoch"),
        "generation": best["generation"],
        "member": best["member"],
        "founder": best["founder"],
    }
