"""Settings that name a part: ours, of an installed package, or "package.module:Class"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lfads_torch.config.nearest import nearest_word
from lfads_torch.config.tree import Settings, flatten
from lfads_torch.data.unit_families import asked_families
from lfads_torch.errors import SettingsError
from lfads_torch.loss.observations import choose as observations
from lfads_torch.model import part_places as parts
from lfads_torch.model.priors import choose as priors
from lfads_torch.plugins import plugin_names

__all__ = ["unknown_parts"]

_CLASS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
_PARTS = {
    "loss.observation": (observations.OBSERVATIONS, observations.ENTRY_POINTS),
    "model.initial_condition_prior": (priors.PRIORS, priors.ENTRY_POINTS),
    "model.input_prior": (priors.PRIORS, priors.ENTRY_POINTS),
    "model.generator": (parts.CELLS, parts.ENTRY_POINTS["model.generator"]),
    "model.ic_encoder": (parts.ENCODERS, parts.ENTRY_POINTS["model.ic_encoder"]),
    "model.controller_encoder": (parts.ENCODERS, parts.ENTRY_POINTS["model.controller_encoder"]),
    "model.read_out": (parts.READ_OUTS, parts.ENTRY_POINTS["model.read_out"]),
}


def unknown_parts(settings: Settings) -> Iterator[str]:
    """What is wrong with names of families, priors and parts of the model; nothing is imported."""
    values = flatten(settings)
    for name in _PARTS:
        yield from _unknown(name, str(values[name]), name)
    if settings.model.initial_condition_prior == "autoregressive":
        yield (
            "model.initial_condition_prior is autoregressive, which is over time, and an initial "
            "condition has none; needed is normal, student_t or laplace"
        )
    try:
        asked = asked_families(settings.loss.unit_observation)
    except SettingsError as error:
        yield str(error)
        return
    for family, _ in asked:
        yield from _unknown("loss.observation", family, "loss.unit_observation: the family")


def _unknown(part: str, value: str, where: str) -> Iterator[str]:
    # What is installed is looked at last, for that takes time.
    if value in _PARTS[part][0] or re.fullmatch(_CLASS, value):
        return
    known = plugin_names(*_PARTS[part])
    if value in known:
        return
    meant = nearest_word(value, known)
    yield (
        f"{where} is the text {value!r}; needed is {', '.join(known)}, or a class of yours written "
        f"as package.module:Class{f'; did you mean {meant}?' if meant else ''}"
    )
