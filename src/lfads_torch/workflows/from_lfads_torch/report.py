"""What an import says: every option and what became of it, and what was in a file beside data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lfads_torch.config.declarations import declarations
from lfads_torch.config.yaml_text import scalar_text

if TYPE_CHECKING:
    from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint
    from lfads_torch.workflows.from_lfads_torch.mapped import Mapped

__all__ = ["DIFFERENCES", "names_note", "option_lines", "settings_text"]

# What lfads-torch does and no option of it says; setting of ours -> the value that does the same.
DIFFERENCES: Mapping[str, tuple[str, str]] = {
    "loss.input_divergence": (
        "factorised",
        "the divergence of the inferred inputs treats their posterior as independent of the past",
    ),
    "training.best_from": ("start", "any epoch can be the best, also one within the ramps"),
    "loss.session_weights": ("equal", "sessions count the same, however many trials they have"),
}


def option_lines(mapped: Mapped) -> list[str]:
    """One line per option: first those that became settings, then those that did not."""
    taken = [fate.line() for fate in mapped.fates if fate.settings]
    left = [fate.line() for fate in mapped.without_counterpart]
    return [*taken, *left]


def names_note(found: Checkpoint) -> str | None:
    """Which names of code the file held that no file of lfads-torch needs; none was imported."""
    if not found.unknown_names:
        return None
    listed = ", ".join(found.unknown_names[:8])
    more = f" and {len(found.unknown_names) - 8} more" if len(found.unknown_names) > 8 else ""
    return (
        f"{found.path}: holds objects of {listed}{more}, which are not known here. None of them "
        "was imported or called; whatever they hold beside the model's tensors is left out."
    )


def settings_text(mapped: Mapped, sources: Iterable[str]) -> str:
    """A YAML file of the settings alone, each with the option that it comes from."""
    origin = {
        name: fate.option.rpartition(".")[2] for fate in mapped.fates for name in fate.settings
    }
    settings = mapped.settings
    lines = [f"# From lfads-torch: {', '.join(sources)}"]
    for section in dict.fromkeys(each.section for each in declarations().values()):
        given = {name: value for name, value in settings.items() if name.startswith(f"{section}.")}
        if given:
            lines.append(f"{section}:")
        for name, value in given.items():
            key = name.partition(".")[2]
            lines.append(f"  {key}: {scalar_text(value)}  # {origin[name]}")
    lines += ["", "# Options without a setting of ours, and what happens instead:"]
    lines += [f"#   {fate.line()}" for fate in mapped.without_counterpart]
    lines += ["", "# What lfads-torch always does, and how to have it here:"]
    lines += [f"#   {name}={value}: {what}" for name, (value, what) in DIFFERENCES.items()]
    return "\n".join(line.rstrip() for line in lines) + "\n"
