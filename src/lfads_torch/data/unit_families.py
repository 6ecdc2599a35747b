"""Which observation family each unit of a recording is of: its own word, or the settings'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording

__all__ = [
    "COUNT_OBSERVATIONS", "SIGNAL_OBSERVATIONS", "asked_families", "asked_text", "unit_families",
]  # fmt: skip

# Families of ours: of whole numbers of at least 0, and of continuous signals.
COUNT_OBSERVATIONS = (
    "poisson", "poisson_softplus", "negative_binomial", "bernoulli", "zero_inflated_poisson",
)  # fmt: skip
SIGNAL_OBSERVATIONS = ("gaussian", "gaussian_fixed_variance", "gamma", "zero_inflated_gamma")

_SETTING = "loss.unit_observation"
_EXAMPLE = "gamma=emg*; zero_inflated_gamma=24:29"


def asked_families(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The families and their units in words, of a text such as "gamma=emg*, 7; poisson=0:5".

    Raises SettingsError where the text is of another form.
    """
    found = []
    for part in filter(None, (each.strip() for each in text.split(";"))):
        family, equals, units = part.partition("=")
        words = tuple(filter(None, (word.strip() for word in units.split(","))))
        if not equals or not family.strip() or not words:
            raise SettingsError(
                f"{_SETTING}: {part!r} does not say which units are of which family; needed is "
                f"FAMILY=UNITS, such as {_EXAMPLE!r}"
            )
        found.append((family.strip(), words))
    return tuple(found)


def asked_text(families: Sequence[str], default: str) -> str:
    """The setting that gives units these families by their positions; empty where all have it."""
    runs: dict[str, list[str]] = {}
    start = 0
    for stop in range(1, len(families) + 1):
        if stop < len(families) and families[stop] == families[start]:
            continue
        if families[start] != default:
            runs.setdefault(families[start], []).append(f"{start}:{stop}")
        start = stop
    return "; ".join(f"{family}={', '.join(units)}" for family, units in runs.items())


def unit_families(recording: Recording, default: str, asked: str = "") -> tuple[str, ...]:
    """The family of each unit: what `asked` says of it, else the recording, else the default.

    `asked` is the setting `loss.unit_observation`; raises SettingsError where it names a unit that
    is not there.
    """
    own = recording.observation
    words = [""] * recording.n_units if own is None else [str(word) for word in own]
    families = [word or default for word in words]
    for family, units in asked_families(asked):
        for word in units:
            for position in _positions(recording, word):
                families[position] = family
    return tuple(families)


def _positions(recording: Recording, word: str) -> list[int]:
    """Units by id, by a pattern of ids, or by positions from 0, the last one excluded."""
    ids = [str(unit) for unit in recording.unit_ids.tolist()]
    if word in ids:
        return [ids.index(word)]
    if re.fullmatch(r"\d*:\d*", word):
        first, last = word.split(":")
        found = range(int(first or 0), min(int(last or len(ids)), len(ids)))
        if len(found):
            return list(found)
    matching = [n for n, unit in enumerate(ids) if fnmatchcase(unit, word)]
    if not matching:
        listed = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        raise SettingsError(
            f"settings: {_SETTING} names the units {word!r}, and {recording.session} has none such "
            f"(its {len(ids)} units are {listed}). Name an id, a pattern of ids such as emg*, "
            "or positions such as 20:24 (from 0, the last one excluded)."
        )
    return matching
