"""Rates that the settings leave at 0 and members of a search have: they must suit, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.search.space import Space

__all__ = ["require_possible_members"]

_JITTER = "augmentation.spike_jitter_rate"


def require_possible_members(
    recordings: Sequence[Recording],
    settings: Settings,
    space: Space,
    values: tuple[Mapping[str, float], ...],
) -> None:
    """Raise SettingsError where a member of the space or the list could not train.

    A rate needs its augmentation in `augmentation.order`, and jitter needs spikes.
    """
    from lfads_torch.config.rules import conflicts_of_members
    from lfads_torch.workflows.families import require_spikes

    largest = _largest(space, values)
    if found := conflicts_of_members(settings, largest):
        raise SettingsError(f"search: {'; and '.join(found)}.")
    if largest.get(_JITTER, 0.0) <= 0.0:
        return
    for recording in recordings:
        require_spikes(
            recording,
            settings.loss,
            found=f"search: {_JITTER} is up to {largest[_JITTER]:g}",
            to_do="Leave the rate out of the search.",
        )


def _largest(space: Space, values: tuple[Mapping[str, float], ...]) -> dict[str, float]:
    """The largest value that any member may have, by dotted name."""
    found = {each.name: each.high for each in space}
    for member in values:
        for name, value in member.items():
            found[name] = max(value, found.get(name, value))
    return found
