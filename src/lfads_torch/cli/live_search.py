"""The population of a search as a table in a terminal: as many columns and members as fit."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lfads_torch.cli.search_standing import SearchStanding

__all__ = ["Column", "columns_of", "fitting", "members_shown", "search_picture"]

_HEAD_LINES = 8  # above and below the members: where the search stands, the columns' titles
_TITLE_WIDTH = 8
_TITLES = {
    "training.learning_rate": "learn.\nrate",
    "augmentation.dropout_rate": "drop-\nout",
    "augmentation.coordinated_dropout_rate": "coord.\ndrop.",
    "loss.l2_generator_scale": "L2\ngener.",
    "loss.l2_controller_scale": "L2\ncontr.",
    "loss.kl_initial_condition_scale": "k\ninit.",
    "loss.kl_input_scale": "k\ninputs",
}


@dataclass(frozen=True)
class Column:
    """One column; of those that do not fit, the ones with the highest `rank` are left out."""

    title: str
    cells: Mapping[int, str]  # by member
    rank: int

    @property
    def width(self) -> int:
        return max(map(len, (*self.title.split("\n"), *self.cells.values())))


def search_picture(standing: SearchStanding, *, width: int, height: int) -> RenderableType:
    """Where the search stands, and a line per member; the one that leads is marked."""
    from rich.console import Group
    from rich.text import Text

    epochs = standing.epochs
    shown = members_shown(standing, height - _HEAD_LINES)
    more = len(epochs.members) - len(shown)
    lines = [
        *([f"and {more} members with worse scores"] if more else []),
        *([f"frozen in the last generation: {text}"] if (text := standing.frozen_text()) else []),
    ]
    return Group(
        _progress(standing),
        _table(fitting(columns_of(standing), width), shown, leader=epochs.member),
        *(Text(line, style="dim") for line in lines),
    )


def members_shown(standing: SearchStanding, at_most: int) -> list[int]:
    """All members in their order, or the best ones where there are too many for the terminal."""
    members, scores = standing.epochs.members, standing.epochs.scores()
    if len(members) <= max(1, at_most):
        return members
    ranked = sorted(zip(scores, members, strict=True))
    return [member for _, member in ranked[: max(1, at_most)]]


def columns_of(standing: SearchStanding) -> list[Column]:
    """Everything that is known of the members, in the order of the table."""
    epochs, members, beginning = standing.epochs, standing.epochs.members, standing.beginning
    parents = {} if beginning is None else beginning.parents

    def of_epoch(title: str, name: str, rank: int, text: Callable[[float], str] = _short) -> Column:
        values = epochs.numbers(name)
        return Column(title, {m: text(v) for m, v in zip(members, values, strict=False)}, rank)

    columns = [
        Column("mem-\nber", {m: str(m) for m in members}, 0),
        of_epoch("score", "valid_score", 0, _score),
        Column("best\nof line", _best_of_lines(standing), 4),
        of_epoch("recon-\nstr.", "reconstruction", 8),
        of_epoch("KL\ninit.", "kl_initial_condition", 6),
        of_epoch("KL\ninputs", "kl_inputs", 6),
        of_epoch("L2", "l2", 7),
    ]
    for name, values in ({} if beginning is None else beginning.values).items():
        cells = {m: _short(values[m]) for m in members if m in values}
        columns.append(Column(_title(name), cells, 2 if name in _TITLES else 3))
    told = {m: "" if parents.get(m, m) == m else str(parents[m]) for m in members}
    frozen = {m: "frozen" if standing.is_frozen(m) else "" for m in members}
    columns += [
        Column("age", {m: str(standing.age(m)) for m in members}, 1),
        Column("par-\nent", told, 1),
    ]
    return [*columns, *([Column("", frozen, 1)] if any(frozen.values()) else [])]


def _best_of_lines(standing: SearchStanding) -> dict[int, str]:
    """What the history knew after the last generation; a replaced member has its parent's."""
    best = {int(row["member"]): row["best_score"] for row in standing.rows}
    beginning, donors = standing.beginning, dict[int, int]()
    if beginning is not None and beginning.generation > standing.last_generation:
        donors = dict(beginning.parents)
    found = {member: best.get(donors.get(member, member)) for member in standing.epochs.members}
    return {member: f"{value:.4g}" for member, value in found.items() if value is not None}


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit side by side; of equal rank the last one goes first."""
    kept = list(columns)
    while len(kept) > 1 and sum(each.width + 1 for each in kept) > width:
        worst = max(range(len(kept)), key=lambda n: (kept[n].rank, n))
        del kept[worst]
    return kept


def _progress(standing: SearchStanding) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    epochs = standing.epochs
    best = (
        "no epoch counts before the ramps end"
        if epochs.best_epoch is None
        else f"best score {epochs.best_score:.5g} (member {epochs.best_member}, epoch "
        f"{epochs.best_epoch})"
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text(standing.generation_text(), style="bold"),
        ProgressBar(total=epochs.n_epochs, completed=epochs.n_done, width=30),
    )
    grid.add_row(Text(epochs.epoch_text()), epochs.pace_text())
    grid.add_row(Text(f"{epochs.n_members} members"), Text(best))
    return grid


def _table(columns: Sequence[Column], members: Sequence[int], *, leader: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(Text(column.title), justify="right", no_wrap=True)
    for member in members:
        style = "bold reverse" if member == leader else None
        table.add_row(*(Text(each.cells.get(member, "")) for each in columns), style=style)
    return table


def _title(name: str) -> str:
    words = name.partition(".")[2].replace("_", " ")
    return _TITLES.get(name, "\n".join(textwrap.wrap(words, _TITLE_WIDTH)))


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.5g}"


def _short(value: float) -> str:
    """Two or three digits in at most six characters: 0.004, 1.2e-5, 118."""
    if math.isnan(value):
        return "-"
    size = abs(value)
    if size and not 1e-3 <= size < 1e4:
        digits, _, exponent = f"{value:.1e}".partition("e")
        return f"{digits.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.2g}" if size < 100.0 else f"{value:.0f}"
