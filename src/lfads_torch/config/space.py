"""What a search moves: AutoLFADS' own ranges, a file instead of them, single ranges over that.

The weights of the two divergences are typed in the unit of `loss.kl_scale_unit`, like the settings
themselves. In a `Space` they stand as they enter the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.config.declarations import declarations
from lfads_torch.config.scales import beta_of_one, entries_per_trial
from lfads_torch.config.small_text import small_text
from lfads_torch.config.space_check import (
    declarations_with,
    name_mistakes,
    range_mistakes,
    range_of,
    space_error,
)
from lfads_torch.config.space_text import (
    DIVERGENCES,
    AskedRange,
    asked_by_text,
    asked_in_yaml,
    space_to_yaml,
)
from lfads_torch.config.tree import section_types
from lfads_torch.search.space import Range, Space, published_space

if TYPE_CHECKING:
    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings

__all__ = ["SpaceChoice", "choose_space", "default_space", "space_from_yaml", "space_to_yaml"]

# SCORES.md, "Strength of regularisation": in units of the evidence bound.
_BETA_RANGES = {"loss.kl_initial_condition_scale": (0.02, 16.0), "loss.kl_input_scale": (0.02, 2.0)}
_FILE = "a YAML file of a search space, such as the space.yaml of a search"


@dataclass(frozen=True, kw_only=True)
class SpaceChoice:
    """What was asked for instead of the default space.

    `ranges`: "NAME=LOW..HIGH", then any of ",first=NUMBER|uniform|log_uniform", ",weight=W" and
    ",limits=yes|no", ",unit=published|beta"; what is left out stays as it is in the space.
    `asked`: more of them, read already. `dropped`: names not to search.
    """

    path: Path | None = None
    ranges: tuple[str, ...] = ()
    asked: tuple[AskedRange, ...] = ()
    dropped: tuple[str, ...] = ()
    dropped_by: str = "--keep"  # for messages


def default_space(settings: Settings, sizes: DataSizes) -> Space:
    """The published ranges; those of the divergences as `search.kl_range` wants them."""
    space = published_space(
        has_controller=settings.model.n_inferred_inputs > 0,
        is_variational=settings.model.variational,
    )
    is_beta = settings.search.kl_range == "beta" or (
        settings.search.kl_range == "auto" and settings.loss.kl_scale_unit == "beta"
    )
    beta = beta_of_one(settings, sizes)
    if is_beta:
        wanted = {name: (low / beta, high / beta) for name, (low, high) in _BETA_RANGES.items()}
    else:
        # Published beside a mean reconstruction; the factor is 1 unless it is a sum here.
        factor = entries_per_trial(settings, sizes) / beta
        wanted = {r.name: (r.low * factor, r.high * factor) for r in space}
    return tuple(
        replace(each, low=wanted[each.name][0], high=wanted[each.name][1])
        if each.name in DIVERGENCES
        else each
        for each in space
    )


def choose_space(choice: SpaceChoice, settings: Settings, sizes: DataSizes) -> Space:
    """The space in the order default or file, then what `ranges` add.

    Settings must be resolved. All mistakes are told in one SettingsError.
    """
    beta = beta_of_one(settings, sizes)
    unit = settings.loss.kl_scale_unit
    of_file, mistakes = ([], []) if choice.path is None else _read(choice.path)
    of_texts, wrong = asked_by_text(choice.ranges)
    of_texts, mistakes = [*of_texts, *choice.asked], [*mistakes, *wrong]
    for asked in (*of_file, *of_texts):
        mistakes += _mistakes(asked, settings)
    for name in choice.dropped:
        mistakes += name_mistakes(name, choice.dropped_by, settings.own)
        if any(asked.name == name for asked in of_texts):
            mistakes.append(
                f"{name} is given both by --search and by {choice.dropped_by}; leave one out"
            )
    if mistakes:
        raise space_error(mistakes)
    start = () if choice.path else default_space(settings, sizes)
    space = {each.name: each for each in start}
    for asked in (*of_file, *of_texts):
        space[asked.name] = range_of(asked, space.get(asked.name), unit=unit, beta_of_one=beta)
    return _not_empty([r for r in space.values() if r.name not in choice.dropped])


def space_from_yaml(text: str, where: str) -> Space:
    """The space that `space_to_yaml` wrote; weights of divergences as they enter the loss.

    Numbers of plug-ins were checked when the search began; the plug-in is not imported for it.
    """
    found, mistakes = asked_in_yaml(text, where)
    for asked in found:
        mistakes += _stored_mistakes(asked)
    if mistakes:
        raise space_error(mistakes)
    return tuple(range_of(asked, None, unit="published", beta_of_one=1.0) for asked in found)


def _stored_mistakes(asked: AskedRange) -> list[str]:
    section, dot, key = asked.name.partition(".")
    if dot and section not in section_types() and key:
        limits = [asked.values.get(name) for name in ("low", "high")]
        if all(isinstance(limit, int | float) for limit in limits):
            return []
        return [f"{asked.name} ({asked.where}) has no range; needed are low and high"]
    wrong = name_mistakes(asked.name, asked.where)
    return wrong or range_mistakes(asked, declarations()[asked.name])


def _read(path: Path) -> tuple[list[AskedRange], list[str]]:
    found, mistakes = asked_in_yaml(small_text(path, what=_FILE), str(path))
    if not found and not mistakes:
        mistakes = [f"{path} names nothing to search; needed is {_FILE}"]
    return found, mistakes


def _mistakes(asked: AskedRange, settings: Settings) -> list[str]:
    found = [*name_mistakes(asked.name, asked.where, settings.own)]
    if found:
        return found
    is_of_controller = asked.name in ("loss.kl_input_scale", "loss.l2_controller_scale")
    if is_of_controller and settings.model.n_inferred_inputs == 0:
        found.append(
            f"{asked.name} ({asked.where}) belongs to the controller, and this model has none: "
            "leave it out, or raise model.n_inferred_inputs"
        )
    return [*found, *range_mistakes(asked, declarations_with(settings.own)[asked.name])]


def _not_empty(space: Sequence[Range]) -> Space:
    if not space:
        raise space_error(
            ["nothing is left to search; keep fewer settings, or train restarts: lfads fit --seeds"]
        )
    return tuple(space)
