"""Parts of the model by name: which weights a setting such as `training.freeze` means.

A weight's part is its name up to the last dot: `generator.recurrent` belongs to `generator`,
`readout.monday.bias` to `readout.monday`. Groups stand for several parts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.training.settings import TrainingSettings

__all__ = [
    "GROUPS",
    "chosen_weights",
    "require_parts",
    "require_something_to_train",
    "trained_weights",
]

# Group -> patterns of parts.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "encoders": ("ic_encoder", "initial_condition", "controller_encoder"),
        "decoder": ("generator_start", "context", "generator", "controller", "factors"),
        "priors": ("*_prior",),
        "readin": ("readin.*",),
        "readout": ("readout.*",),
    }
)


def chosen_weights(words: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """The weights that any word means: a group, a part, or a pattern of either's names.

    Patterns know `*`, `?` and `[...]`: `readin.*`, `*.bias`. Words without a match choose nothing.
    """
    patterns = [pattern for word in words for pattern in GROUPS.get(word, (word,))]
    return frozenset(
        name
        for name in names
        if any(fnmatchcase(text, p) for p in patterns for text in (name, _part(name)))
    )


def trained_weights(settings: TrainingSettings, names: Iterable[str]) -> frozenset[str]:
    """What `training.train` names (empty: everything) without what `training.freeze` names."""
    known = tuple(names)
    trained = frozenset(known)
    if settings.trained_parts:
        trained = chosen_weights(settings.trained_parts, known)
    return trained - chosen_weights(settings.frozen_parts, known)


def require_parts(words: Iterable[str], names: Iterable[str], *, what: str) -> None:
    """Raise SettingsError for a word that means no weight; `what` begins the message."""
    known = tuple(names)
    for word in words:
        if chosen_weights((word,), known):
            continue
        parts = list(dict.fromkeys(_part(name) for name in known))
        groups = [group for group in GROUPS if chosen_weights((group,), known)]
        near = difflib.get_close_matches(word, [*groups, *parts], n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(
            f"{what}: the model has no part {word!r}.{hint} Its parts are {', '.join(parts)}; "
            f"{', '.join(groups)} stand for several, and patterns such as readout.* work too."
        )


def require_something_to_train(settings: TrainingSettings, names: Iterable[str]) -> None:
    """Raise SettingsError for unknown parts, and where nothing is left to train."""
    known = tuple(names)
    require_parts(settings.trained_parts, known, what="training.train")
    require_parts(settings.frozen_parts, known, what="training.freeze")
    if not trained_weights(settings, known):
        raise SettingsError(
            f"training.train is {settings.train!r} and training.freeze is {settings.freeze!r}, so "
            "nothing is left to train; freeze fewer parts."
        )


def _part(name: str) -> str:
    return name.rpartition(".")[0]
