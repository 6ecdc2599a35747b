"""Scores as lines that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfads_torch.analysis.report_scores import are_all_used_for_selection
from lfads_torch.cli.streams import aligned

if TYPE_CHECKING:
    from lfads_torch.analysis.report_scores import ScoreRow

__all__ = ["headline", "score_lines"]

# The few to show after a fit, the first ones that the recording allows.
_HEADLINE = (
    "true rates r2", "co smoothing bits per spike", "masked bits per spike",
    "co smoothing r2", "masked r2", "behaviour r2",
    "psth r2 averaged", "forward bits per spike",
)  # fmt: skip
_N_HEADLINE = 4


def score_lines(rows: Sequence[ScoreRow]) -> str:
    """A table of the scores that apply, then the others with the reason why they do not."""
    known = [row for row in rows if row.value != "-"]
    is_one = are_all_used_for_selection(rows)
    absent = [row for row in rows if row.value == "-"]
    table = [("score", "set", "value", "interval", "trials", "")]
    for row in known:
        used = "used for selection" if row.used_for_selection and not is_one else ""
        note = "; ".join(text for text in (used, row.note) if text)
        table.append((row.name, row.set_name, row.value, row.interval, row.n_trials, note))
    text = aligned(table)
    if is_one:
        text += "\n\nall used for selection: of trials that chose the best epoch"
    if absent:
        text += "\n\nnot applicable:\n" + aligned([(f"  {row.name}", row.note) for row in absent])
    return text


def headline(rows: Sequence[ScoreRow]) -> str:
    """The few scores that say most, a line each; empty where there are none."""
    by_name = {row.name: row for row in rows if row.value != "-"}
    chosen = [by_name[name] for name in _HEADLINE if name in by_name] or list(by_name.values())
    lines = []
    for row in chosen[:_N_HEADLINE]:
        used = ", used for selection" if row.used_for_selection else ""
        caution = f"; {row.caution}" if row.caution else ""
        where = f"({row.set_name} set{used}{caution})"
        lines.append((f"  {row.name}", row.value, row.interval, where))
    return aligned(lines)
