"""What is known of every setting: its type, range, unit and help, by dotted name."""

from __future__ import annotations

from lfads_torch.config.preset_choice import preset_names
from lfads_torch.config.tree import section_types
from lfads_torch.declare import PluginSettings
from lfads_torch.declared import Declaration, record_declarations

__all__ = ["Declaration", "declarations"]


def declarations(own: tuple[type[PluginSettings], ...] = ()) -> dict[str, Declaration]:
    """Every setting by dotted name, in the order of the tree; then the plug-ins' `own` kinds."""
    # The files of the folder decide, so no annotation can list them.
    words = {"run.preset": preset_names()}
    return {
        each.name: each
        for section, record in section_types(own).items()
        for each in record_declarations(section, record, words)
    }
