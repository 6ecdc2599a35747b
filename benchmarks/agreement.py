"""Whether encoded and masked score agree, judged over the seeds of `coordinated_dropout.py`.

The rule is in that script. Everything here works on its results; a seed that lacks what a part of
the rule needs is left out of that part, and the number of seeds is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["judged", "over_searches", "over_seeds"]

LEVEL, BITS, R2 = 0.05, 0.01, 0.05


def judged(seeds: Mapping[str, Any], arm: str) -> dict[str, Any]:
    """Level, rank and regret of one arm over all seeds that have it."""
    found = {seed: each["arms"][arm] for seed, each in seeds.items() if arm in each["arms"]}
    if not found:
        return {}
    arms = list(found.values())
    gap = over_seeds([each["encoded_minus_masked"] for each in arms])
    excess = [
        found[seed]["test"]["encoded"]["value"] - seeds[seed]["truth"]["encoded"] for seed in found
    ]
    n_lines = [len(each["lines"]) for each in arms]
    ranks = {
        name: over_searches([a["rank_correlation_with_validation"][name] for a in arms], n_lines)
        for name in arms[0]["rank_correlation_with_validation"]
    }
    chosen = [each["regret"] for each in arms if "regret" in each]
    regret = {
        name: _with_cost(
            over_seeds([each[name] for each in chosen]), R2 if name == "rates" else BITS
        )
        for name in (chosen[0] if chosen else {})
    }
    return {
        "seeds": list(found),
        "level": gap | {"agrees": _is_within(gap, LEVEL) and max(excess) <= 0.0},
        "encoded_minus_truth": [round(each, 4) for each in excess],
        "rank": ranks,
        "regret": regret,
    }  # fmt: skip


def over_seeds(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of the seeds' values with Student's interval over seeds; None of one seed alone.

    `interval_95_trials` holds for these seeds: half-widths of their own intervals, which are of
    other trials each, combined as independent errors.
    """
    from scipy.stats import t

    values = np.array([each["value"] for each in entries])
    n, mean = len(values), float(values.mean())
    halves = [np.diff(each["interval_95"])[0] / 2 for each in entries]
    trials = float(np.sqrt(np.sum(np.square(halves))) / n)
    own = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return {
        "n_seeds": n,
        "value": round(mean, 4),
        "interval_95": None if own is None else [round(mean - own, 4), round(mean + own, 4)],
        "interval_95_trials": [round(mean - trials, 4), round(mean + trials, 4)],
    }


def over_searches(correlations: Sequence[float], n_lines: Sequence[int]) -> dict[str, Any]:
    """Rank correlations of several searches as one, by Fisher's z weighted with n - 3.

    The variance of Spearman's z is 1.06 / (n - 3) (Fieller, Hartley & Pearson 1957, Biometrika
    44:470). A correlation of 1 has no finite z; it counts as halfway to the next lower value that n
    lines can have, 1 - 6 / (n^3 - n).
    """
    found, n = np.asarray(correlations, dtype=float), np.asarray(n_lines, dtype=float)
    most = 1 - 6 / (n**3 - n)
    weights = n - 3
    z = float(weights @ np.arctanh(np.clip(found, -most, most)) / weights.sum())
    half = 1.96 * np.sqrt(1.06 / weights.sum())
    low, value, high = (round(float(np.tanh(each)), 3) for each in (z - half, z, z + half))
    return {"n_searches": len(found), "value": value, "interval_95": [low, high]}


def _is_within(entry: Mapping[str, Any], bound: float) -> bool | None:
    """None where one seed gives no interval over seeds."""
    if entry["interval_95"] is None:
        return None
    low, high = entry["interval_95"]
    return -bound <= low and high <= bound


def _with_cost(entry: dict[str, Any], bound: float) -> dict[str, Any]:
    """What the regret says of choosing by the encoded score."""
    if entry["interval_95"] is None:
        return entry | {"verdict": "open"}
    low, high = entry["interval_95"]
    verdict = "costs" if low > 0.0 else "costs nothing worth naming" if high < bound else "open"
    return entry | {"verdict": verdict}
