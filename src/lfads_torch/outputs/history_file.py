"""The history of a search, `history.csv`: one line per generation and member.

Written whole after every generation. Numbers come back exactly as they were: a float is written
as the shortest text that reads back to the same bits, and what is missing as an empty field.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lfads_torch.atomic import write_text
from lfads_torch.errors import RunError
from lfads_torch.outputs.json_text import plain

__all__ = ["COLUMNS", "Row", "read_history", "searched_names", "write_history"]

WHOLE = ("generation", "member", "parent", "founder", "first_epoch", "last_epoch", "best_epoch",
         "is_frozen")  # fmt: skip
TEXTS = ("broke", "outcome")
COLUMNS = (
    "generation", "member", "parent", "founder", "first_epoch", "last_epoch", "score",
    "valid_reconstruction", "reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss",
    "gradient_norm", "best_score", "best_epoch", "is_frozen", "broke", "outcome",
)  # fmt: skip
# Without these a line has no place in the history; other columns may be empty or absent.
REQUIRED = ("generation", "member", "parent", "founder")

Row = dict[str, Any]  # int, float, str or None, by column


def searched_names(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The searched settings: the columns whose name has a dot, in the order of the table."""
    return list(dict.fromkeys(name for row in rows for name in row if "." in name))


def write_history(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the table whole or not at all: our columns, those added, then the searched settings.

    What a row lacks is an empty field, and so is a number that is not finite.
    """
    searched = searched_names(rows)
    known = {*COLUMNS, *searched}
    added = list(dict.fromkeys(name for row in rows for name in row if name not in known))
    names = [*COLUMNS, *added, *searched]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(row.get(name)) for name in names] for row in rows)
    write_text(path, table.getvalue())


def read_history(path: Path) -> list[Row]:
    """All rows, in the order of the file; no file means no rows.

    RunError, with the line, where the file is not such a table any more.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if text and not text.endswith("\n"):
        raise _damaged(path, "ends in the middle of a line")
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = _header(path, next(reader, []))
        for fields in reader:
            where = f"line {reader.line_num}"
            if len(fields) != len(names):
                found = f"{len(fields)} fields where the header has {len(names)}"
                raise _damaged(path, f"{where}: {found}")
            rows.append(_row(path, where, dict(zip(names, fields, strict=True))))
    except csv.Error as error:
        raise _damaged(path, f"line {reader.line_num}: is not CSV ({error})") from error
    _require_one_line_each(path, rows)
    return rows


def _header(path: Path, names: list[str]) -> list[str]:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        shown = ", ".join(names[:4]) or "nothing"
        raise _damaged(path, f"line 1: no column {', '.join(missing)} (it starts with {shown})")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _damaged(path, f"line 1: the column {twice[0]} stands there twice")
    return names


def _row(path: Path, where: str, fields: Mapping[str, str]) -> Row:
    row = {name: _value(path, where, name, text) for name, text in fields.items()}
    for name in REQUIRED:
        if row[name] is None:
            raise _damaged(path, f"{where}: {name} is empty")
    return row


def _value(path: Path, where: str, name: str, text: str) -> int | float | str | None:
    if name in TEXTS:
        return text
    if text == "":
        return None
    try:
        # A whole number among the settings stays whole, so that the file reads as it was written.
        number = float(text) if any(mark in text for mark in ".einEIN") else int(text)
    except ValueError:
        number = math.nan
    if name in WHOLE and not isinstance(number, int):
        raise _damaged(path, f"{where}: {name} is {text!r}; a whole number is needed")
    if math.isfinite(number):
        return number
    if name in COLUMNS or "." in name:
        raise _damaged(path, f"{where}: {name} is {text!r}; a number or nothing is needed")
    return text


def _require_one_line_each(path: Path, rows: Sequence[Row]) -> None:
    seen: set[tuple[int, int]] = set()
    for row in rows:
        place = (row["generation"], row["member"])
        if place in seen:
            found = f"member {place[1]} of generation {place[0]} stands there twice"
            raise _damaged(path, found)
        seen.add(place)


def _text(value: object) -> str:
    number = plain(value)  # also of NumPy and torch; None where not finite
    if number is None:
        return ""
    return str(int(number)) if isinstance(number, bool) else str(number)


def _damaged(path: Path, found: str) -> RunError:
    return RunError(
        f"{path}: {found}. A line per generation and member is needed, as docs/formats.md "
        "describes it. The file was changed or the disk is damaged: restore it from a copy."
    )
