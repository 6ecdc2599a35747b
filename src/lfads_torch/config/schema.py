"""The reference of all settings: as JSON schema for editors, as a page for people."""

from __future__ import annotations

from typing import Any

from lfads_torch.config.declarations import Declaration, declarations
from lfads_torch.config.preset_choice import AUTO, preset_names, preset_values
from lfads_torch.config.tree import section_types
from lfads_torch.config.yaml_text import scalar_text
from lfads_torch.declare import setting_fields

__all__ = ["settings_reference", "settings_schema"]


def settings_schema() -> dict[str, Any]:  # Any: JSON
    """JSON schema of a settings file; editors check and complete such files with it."""
    from lfads_torch.config.check import settings_model

    return settings_model().model_json_schema()


def settings_reference() -> str:
    """Every setting in Markdown tables, one per section, and what each preset changes."""
    known = declarations()
    parts = ["# Settings", ""]
    for section, record in section_types().items():
        parts += [
            f"## {section}",
            "",
            _summary(record),
            "",
            *_header("setting", "default", "needed", "what"),
        ]
        parts += [_row(known[f"{section}.{part.name}"]) for part in setting_fields(record)]
        parts.append("")
    return "\n".join([*parts, *_preset_table(known)]) + "\n"


def _summary(record: type) -> str:
    return (record.__doc__ or "").strip().splitlines()[0]


def _row(declaration: Declaration) -> str:
    default = f"`{scalar_text(declaration.default)}`"
    return _cells(f"`{declaration.name}`", default, declaration.needed, declaration.help)


def _preset_table(known: dict[str, Declaration]) -> list[str]:
    presets = {name: preset_values(name) for name in preset_names() if name != AUTO}
    lines = ["## Presets", "", "Where a cell is empty, the default holds.", ""]
    lines += _header("setting", *presets)
    for name, declaration in known.items():
        values = [preset.get(name, declaration.default) for preset in presets.values()]
        if any(value != declaration.default for value in values):
            texts = ["" if value == declaration.default else f"{value}" for value in values]
            lines.append(_cells(f"`{name}`", *texts))
    return lines


def _header(*titles: str) -> list[str]:
    return [_cells(*titles), "|" + "---|" * len(titles)]


def _cells(*texts: str) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
