"""Writes the tables of `docs/from_lfads_torch.md` from the code that maps options to settings.

`python docs/lfads_torch_tables.py` puts them between the marks in the page; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from lfads_torch.workflows.from_lfads_torch.options import OPTIONS
from lfads_torch.workflows.from_lfads_torch.parts import PARTS
from lfads_torch.workflows.from_lfads_torch.report import DIFFERENCES

PAGE = Path(__file__).parent / "from_lfads_torch.md"


def option_table() -> str:
    rows = [
        (f"`{name}`", f"`{option.setting}`" if option.setting else "-", option.note)
        for name, option in OPTIONS.items()
    ]
    return table(("option there", "setting here", "to know, or what happens instead"), rows)


def part_table() -> str:
    rows = []
    for name, part in PARTS.items():
        settings: dict[str, object] = {}
        for option in ("model.ic_prior", "model.co_prior"):
            settings |= part.settings(option, {}) if part.settings else {}
        rows.append((f"`{name}`", ", ".join(f"`{key}`" for key in settings) or "-", part.note))
    return table(("`_target_` there", "settings here", "to know, or what there is instead"), rows)


def difference_table() -> str:
    rows = [(what, f"`--set {name}={value}`") for name, (value, what) in DIFFERENCES.items()]
    return table(("what lfads-torch always does", "to have it here"), rows)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines)


TABLES = {"options": option_table, "targets": part_table, "differences": difference_table}


def with_tables(page: str) -> str:
    """The page with every table between its marks written anew."""
    for name, make in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->"
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}{make()}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
