"""Values outside the support of their unit's family, and the family that suits them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding, listed
from lfads_torch.data.check.statistics import UnitStatistics
from lfads_torch.data.unit_families import COUNT_OBSERVATIONS, asked_text

__all__ = ["check_families", "how_to_set", "suited_families"]

# Values that are no whole numbers, among those that are not 0, from which a unit is no spike count
# with a few damaged entries but another kind of signal.
CONTINUOUS_SHARE = 0.1
OVERDISPERSED = 3.0  # variance over mean; changes of the rate alone seldom reach it in a bin
_POSITIVE = ("gamma",)
_NOT_NEGATIVE = ("gamma", "zero_inflated_gamma")


def suited_families(units: UnitStatistics) -> NDArray[np.str_]:
    """The family that suits each unit's values, [N]; empty text where a unit has none.

    Whole numbers of at least 0: poisson. Others: gaussian with values below 0, gamma where all are
    above 0, zero_inflated_gamma where some are 0.
    """
    not_zero = np.maximum(units.n_values - units.n_zero, 1)
    is_continuous = units.n_fractional > CONTINUOUS_SHARE * not_zero
    found = np.where(units.n_zero > 0, "zero_inflated_gamma", "gamma")
    found = np.where(units.n_negative > 0, "gaussian", found)
    found = np.where(is_continuous | (units.n_negative > 0), found, "poisson")
    return np.asarray(np.where(units.n_values > 0, found, ""), dtype=np.str_)


def check_families(context: CheckContext) -> list[Finding]:
    """Units whose values their family cannot give are errors; others that suit better are notes."""
    findings = [*_outside(context), *_of_counts(context)]
    if any(finding.severity == "error" for finding in findings):
        return findings
    return findings + _better_suited(context)


def _outside(context: CheckContext) -> list[Finding]:
    """What the families of continuous signals, and Bernoulli, cannot give."""
    units, family = context.statistics.units, context.families
    kinds = (
        ("values_above_one", (family == "bernoulli") & (units.largest > 1), "above 1",
         "at most one spike per bin", "Use finer bins, or poisson"),
        ("values_not_positive", np.isin(family, _POSITIVE) & (units.n_negative + units.n_zero > 0),
         "of 0 or below", "values above 0", "Zeros need zero_inflated_gamma, values below 0 "
         "gaussian"),
        ("values_negative", np.isin(family, _NOT_NEGATIVE[1:]) & (units.n_negative > 0), "below 0",
         "values of at least 0", "Values below 0 need gaussian"),
    )  # fmt: skip
    return [
        Finding(
            severity="error",
            code=code,
            message=f"Units of the family {', '.join(np.unique(family[wrong]))} with values {what}"
            f": {int(wrong.sum())} ({listed(context.unit_ids(wrong))}); it needs {needed}.",
            remedy=f"{way_out}: {how_to_set(context)}.",
        )
        for code, wrong, what, needed, way_out in kinds
        if wrong.any()
    ]


def _of_counts(context: CheckContext) -> list[Finding]:
    """Families of continuous signals for what looks like spike counts."""
    units, suited = context.statistics.units, suited_families(context.statistics.units)
    is_count = (suited == "poisson") & (units.n_fractional + units.n_negative == 0)
    continuous = is_count & ~context.needs_counts & (units.largest > 0)
    if not continuous.any():
        return []
    which = (
        "All values"
        if continuous.all()
        else f"All values of {counted(int(continuous.sum()), 'unit')}"
    )
    named = "" if continuous.all() else f" ({listed(context.unit_ids(continuous))})"
    return [
        Finding(
            severity="note",
            code="counts_under_continuous_observation",
            message=f"{which}{named} are whole numbers of at least 0, and the observation model is "
            f"{', '.join(np.unique(context.families[continuous]))}.",
            remedy='For spike counts set loss.observation = "poisson".',
        )
    ]


def _better_suited(context: CheckContext) -> list[Finding]:
    units, family = context.statistics.units, context.families
    suited = suited_families(units)
    spread = (family == "gaussian") & np.isin(suited, _NOT_NEGATIVE)
    ratio = units.variance / np.maximum(units.mean, 1e-12)
    wide = np.isin(family, ("poisson", "poisson_softplus")) & (ratio > OVERDISPERSED)
    findings = []
    if spread.any():
        findings.append(
            Finding(
                severity="note",
                code="not_negative_under_gaussian",
                message=f"Units of the family gaussian without a value below 0: "
                f"{int(spread.sum())} ({listed(context.unit_ids(spread))}).",
                remedy="Where the spread grows with the mean, as in EMG or calcium events, gamma "
                f"or zero_inflated_gamma may suit better: {how_to_set(context)}.",
            )
        )
    if wide.any():
        findings.append(
            Finding(
                severity="note",
                code="overdispersed_counts",
                message=f"Units whose counts vary over {OVERDISPERSED:g} times as much as their "
                f"mean: {int(wide.sum())} ({listed(context.unit_ids(wide))}).",
                remedy="That may be the rate's own change; where it is not, try "
                "loss.observation=negative_binomial, whose variance is free.",
            )
        )
    return findings


def how_to_set(context: CheckContext) -> str:
    """The settings that give each unit the family that suits its values."""
    suited, own = suited_families(context.statistics.units), context.families
    # A family of counts that the user chose stays where the values are counts.
    keeps = (suited == "poisson") & np.isin(own, COUNT_OBSERVATIONS)
    wanted = np.where((suited == "") | keeps, own, suited)
    if len(set(wanted.tolist())) == 1:
        return f"set loss.observation={wanted[0]} (--set loss.observation={wanted[0]})"
    default = context.requirements.observation
    text = asked_text(wanted.tolist(), default)
    return f'set loss.unit_observation, such as --set loss.unit_observation="{text}"'
