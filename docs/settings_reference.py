"""Sphinx extension: writes the page of all settings from their declarations, at every build."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.config.declarations import Declaration, declarations
from lfads_torch.config.tree import section_types

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEAD = """# Settings

Every setting, by section. In a settings file a section is a mapping; on the command line it is
`--set section.key=value`. Sizes that the data tell (units, bins, inputs, sessions) are never set.
Defaults are those without a preset.
"""


def page() -> str:
    """The page as MyST Markdown, in the order of the settings tree."""
    sections = groupby(declarations().values(), key=lambda each: each.section)
    return "\n".join([HEAD, *(section_text(name, settings) for name, settings in sections)])


def section_text(name: str, settings: Iterable[Declaration]) -> str:
    rows = [
        f"| `{each.key}` | `{written(each.default)}` | {each.unit or ''} | {allowed(each)} "
        f"| {escaped(each.help)} |"
        for each in settings
    ]
    summary = escaped((section_types()[name].__doc__ or "").strip().splitlines()[0])
    head = [f"## {name}", "", summary, "", "| key | default | unit | allowed | what it is |"]
    return "\n".join([*head, "|---|---|---|---|---|", *rows, ""])


def allowed(setting: Declaration) -> str:
    if setting.words:
        return ", ".join(f"`{word}`" for word in setting.words)
    kinds = {bool: "true, false", int: "whole number", float: "number", str: "text"}
    return ", ".join(filter(None, [kinds[setting.kind], setting.range]))


def written(value: object) -> str:
    """The value as a settings file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def write_page(app: Sphinx) -> None:
    target = Path(app.srcdir) / "reference" / "settings.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page()
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
