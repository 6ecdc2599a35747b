"""The list of a search of the method list: every member's hyperparameters, given by hand."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.config.scales import beta_of_one
from lfads_torch.config.small_text import small_text
from lfads_torch.config.space_check import (
    declarations_with,
    name_mistakes,
    space_error,
)
from lfads_torch.config.space_text import DIVERGENCES
from lfads_torch.config.yaml_text import read_rows, read_scalar

if TYPE_CHECKING:
    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.declare import OwnSettings

__all__ = ["checked_list", "read_list"]

_WANTED = (
    "a CSV table with a column per setting (training.learning_rate, ...) and a line per member, or "
    "a YAML list of such mappings"
)
Given = Mapping[str, object]


def read_list(path: Path, settings: Settings, sizes: DataSizes) -> tuple[dict[str, float], ...]:
    """Per member, its hyperparameters by dotted name.

    Settings must be resolved: weights of divergences are read in the unit of `loss.kl_scale_unit`
    and returned as they enter the loss. All mistakes are told in one SettingsError.
    """
    text = small_text(path, what=_WANTED)
    if path.suffix.lower() in (".yaml", ".yml"):
        rows, mistakes = read_rows(text, str(path))
    else:
        rows, mistakes = _rows_of_csv(text, str(path))
    if mistakes:
        raise space_error(mistakes, what="list of members")
    return checked_list(rows, str(path), settings, sizes)


def checked_list(
    rows: Sequence[Given], where: str, settings: Settings, sizes: DataSizes
) -> tuple[dict[str, float], ...]:
    """As `read_list`, of rows that are there already; `where` names them in messages."""
    mistakes = list(_mistakes(rows, where, settings.own))
    if mistakes:
        raise space_error(mistakes, what="list of members")
    is_beta = settings.loss.kl_scale_unit == "beta"
    factor = 1.0 / beta_of_one(settings, sizes) if is_beta else 1.0
    return tuple(
        {
            name: _number(value) * (factor if name in DIVERGENCES else 1.0)
            for name, value in row.items()
        }
        for row in rows
    )


def _rows_of_csv(text: str, where: str) -> tuple[list[dict[str, object]], list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    rows: list[dict[str, object]] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            return [], [f"{where}, line 1: the column {twice[0]!r} stands there twice"]
        for fields in reader:
            if len(fields) != len(names) and fields:
                found = f"{len(fields)} fields where the first line has {len(names)}"
                return [], [f"{where}, line {reader.line_num}: {found}"]
            if fields:
                values = (read_scalar(field.strip(), where) for field in fields)
                rows.append(dict(zip(names, values, strict=True)))
    except csv.Error as error:
        return [], [f"{where}, line {reader.line_num}: is not CSV ({error}); needed is {_WANTED}"]
    return rows, [] if rows else [f"{where} gives no member; needed is {_WANTED}"]


def _mistakes(rows: Sequence[Given], where: str, own: OwnSettings) -> Iterator[str]:
    if not rows or not rows[0]:
        yield f"{where} gives no member; needed is {_WANTED}"
        return
    known = declarations_with(own)
    for name in rows[0]:
        yield from name_mistakes(name, where, own)
    for member, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            other = sorted(row.keys() ^ rows[0].keys())[0]
            yield f"{where}: members 0 and {member} do not both give {other}; all give the same"
            continue
        for name, value in row.items():
            number, found = _number(value), "empty" if value is None else value
            if name in known and (math.isnan(number) or known[name].is_outside(number)):
                needed = known[name].needed
                yield f"{where}: {name} of member {member} is {found}; needed is {needed}"


def _number(value: object) -> float:
    """NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if math.isfinite(value) else math.nan
