"""Explore: how a copied hyperparameter changes.

A rule sees values, their range and random numbers, and keeps nothing between generations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import SettingsError
from lfads_torch.plugins import load_plugin
from lfads_torch.search.space import distribution

if TYPE_CHECKING:
    from lfads_torch.search.draws import Draws
    from lfads_torch.search.settings import SearchSettings
    from lfads_torch.search.space import Range

__all__ = [
    "PERTURBATION_RULES",
    "LogSymmetric",
    "PerturbationRule",
    "changed",
    "first_values",
    "perturbation_rule",
]

Values = NDArray[np.float64]

_DRAWS = 99
_LEAST_STEP = 0.002


class PerturbationRule(ABC):
    """How values change. A plug-in derives from this and writes `perturbed`."""

    @classmethod
    def from_settings(cls, settings: SearchSettings) -> Self:
        """The rule as the settings want it; a rule with nothing to set need not write this."""
        return cls()

    @abstractmethod
    def perturbed(self, values: Values, of: Range, draws: Draws) -> Values:
        """The members' new values [P] of one hyperparameter, in its range if limits are kept."""


class LogSymmetric(PerturbationRule):
    """Multiply by `exp(+-U(log(1 + 0.002 w), log(1 + w)))`: as likely up as down, so no drift.

    Where limits are kept, drawn again until the value lies within them, and clipped after 99
    draws. Elsewhere a value only stays above 0, which a factor cannot change. A value of 0 has no
    logarithm and is not searched.
    """

    def perturbed(self, values: Values, of: Range, draws: Draws) -> Values:
        uniform = draws.uniform(f"perturb.{of.name}", 2 * _DRAWS)
        sign = np.where(uniform[:, 0::2] < 0.5, -1.0, 1.0)
        least, most = np.log1p(_LEAST_STEP * of.weight), np.log1p(of.weight)
        tried: Values = values[:, None] * np.exp(sign * (least + (most - least) * uniform[:, 1::2]))
        if not of.keeps_limits:
            return tried[:, 0]
        is_inside = (tried >= of.low) & (tried <= of.high)
        first = is_inside.argmax(1)  # 0 where none is
        found = tried[np.arange(len(values)), first]
        inside = np.where(is_inside.any(1), found, np.clip(tried[:, -1], of.low, of.high))
        return np.where(values == 0.0, 0.0, inside)


PERTURBATION_RULES: Mapping[str, str] = MappingProxyType(
    {"log_symmetric": "lfads_torch.search.perturb:LogSymmetric"}
)


def perturbation_rule(settings: SearchSettings) -> PerturbationRule:
    """The rule of the settings: a name of ours, or a plug-in's. Raises SettingsError."""
    found = load_plugin(
        settings.perturbation,
        PerturbationRule,
        what="search.perturbation",
        ours=PERTURBATION_RULES,
        entry_points="lfads_torch.perturbation_rules",
    )
    return found.from_settings(settings)


def first_values(of: Range, draws: Draws) -> Values:
    """What each member starts with, [P]."""
    if isinstance(of.first, str):
        return _drawn(of, draws, f"first.{of.name}", is_log=of.first == "log_uniform")
    return np.full(draws.n_members, float(of.first))


def changed(
    rule: PerturbationRule,
    values: Values,
    of: Range,
    draws: Draws,
    *,
    resample_probability: float,
) -> Values:
    """The members' next values [P]: perturbed, or with that probability drawn anew.

    A value of 0 is not searched and stays. Raises SettingsError if the rule's answer is no values.
    """
    perturbed = _checked(rule, rule.perturbed(values.copy(), of, draws), of, values)
    is_resampled = draws.uniform(f"whether.{of.name}", 1)[:, 0] < resample_probability
    after = np.where(is_resampled, _resampled(of, draws), perturbed)
    return np.where(values == 0.0, 0.0, after)


def _checked(rule: PerturbationRule, perturbed: Values, of: Range, before: Values) -> Values:
    """What the rule gave, where it is a finite number for every member."""
    n, found = len(before), np.asarray(perturbed)
    is_number = found.shape == (n,) and np.issubdtype(found.dtype, np.number)
    low, high = (of.low, of.high) if of.keeps_limits else (0.0, np.inf)
    is_good = is_number and np.isfinite(found) & (found >= low) & (found <= high)
    if not is_number or not bool(
        np.all(is_good | (before == 0.0))
    ):  # a 0 stays, whatever the rule makes of it
        within = f" within {of.low:g}..{of.high:g}" if of.keeps_limits else " of at least 0"
        raise SettingsError(
            f"search.perturbation: {type(rule).__name__} gave "
            f"{np.array2string(found, threshold=9)} for {of.name}; {n} finite numbers{within} are "
            "needed, one for each member that changes. Mend its `perturbed`."
        )
    return found


def _resampled(of: Range, draws: Draws) -> Values:
    """New values from the range, [P]."""
    is_log = distribution(of) == "log_uniform"
    return _drawn(of, draws, f"resample.{of.name}", is_log=is_log)


def _drawn(of: Range, draws: Draws, site: str, *, is_log: bool) -> Values:
    uniform = draws.uniform(site, 1)[:, 0]
    if not is_log:
        return of.low + (of.high - of.low) * uniform
    drawn: Values = np.exp(np.log(of.low) + (np.log(of.high) - np.log(of.low)) * uniform)
    return drawn
