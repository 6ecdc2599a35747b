"""The sessions of a run as rows of a table: how each aligns, its scores, where its own page is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lfads_torch.analysis.report_scores import ScoreRow, score_rows

if TYPE_CHECKING:
    from lfads_torch.analysis.figures.base import FigureInputs

__all__ = ["SessionRow", "session_note", "session_rows"]

_SHOWN = (
    "co smoothing bits per spike", "masked bits per spike", "co smoothing r2", "masked r2",
    "true rates r2", "behaviour r2",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SessionRow:
    """One session in words."""

    name: str
    page: str  # relative to the run's own; empty where the page is of this session
    n_units: str
    alignment: str
    scores: str


def session_rows(inputs: FigureInputs) -> list[SessionRow]:
    """A row for every session of a run of several; none for another run."""
    named: Mapping[str, str] = inputs.run.get("sessions") or {}
    aligned = {each["session"]: each for each in inputs.alignment.get("sessions", ())}
    scores = inputs.scores.get("sessions", {})
    return [
        SessionRow(
            name=name,
            page=f"{place}/report.html",
            n_units=str(aligned[name]["n_units"]) if name in aligned else "",
            alignment=_alignment(aligned[name]) if name in aligned else "",
            scores=_scores(score_rows(scores.get(name, {}))) if name in scores else "",
        )
        for name, place in named.items()
    ]


def session_note(inputs: FigureInputs) -> str:
    """How the sessions were aligned; empty where they were not."""
    found = inputs.alignment
    if not found:
        return ""
    what = "condition averages" if found["averages"] == "conditions" else "the average trial"
    because = f" ({found['note']})" if found["note"] else ""
    return (
        f"Read-ins and read-outs began with the regression of each session's {what} onto "
        f"{found['n_components']} shared components{because}. Alignment is the share of the "
        "components' variance that the session's encoded units explain, held out; in brackets the "
        "same with its conditions exchanged. The components are of all sessions, this one included."
    )


def _alignment(session: Mapping[str, Any]) -> str:  # JSON values
    shuffled = session["variance_explained_shuffled"]
    beside = "" if shuffled is None else f" ({shuffled:.2f})"
    return f"{session['variance_explained']:.2f}{beside}"


def _scores(rows: list[ScoreRow]) -> str:
    known = {row.name: row for row in rows if row.value != "-"}
    return "; ".join(f"{name} {known[name].value}" for name in _SHOWN if name in known)
