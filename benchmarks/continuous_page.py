"""The section of docs/benchmarks.md on continuous recordings, from results/continuous.json."""

from __future__ import annotations

from typing import Any

__all__ = ["continuous"]

NAMES = {"acausal": "past and future", "causal": "the past alone"}


def continuous(result: dict[str, Any]) -> str:  # JSON values
    """A table per kind of model: one lag and all lags, beside smoothed spikes."""
    lines = [
        "## A continuous recording: chopped, merged, decoded",
        "",
        "`python benchmarks/continuous.py`. Area 2 of somatosensory cortex, random-target reaching, 52 units, 35,129 bins of 50 ms; the session is chopped into",
        f"{result['chop_bins']} bins with an overlap of {result['overlap_bins']} and divided in blocks of time with gaps of at least a chop. A small model (generator of 64, 16 factors, 2 inferred",
        "inputs) is trained on the chops, its rates are merged, and hand velocity is decoded bin by bin with ridge regression from the whole session's",
        "rates, or from smoothed spikes (Gaussian; causal: exponential). Width, lag, penalty and best epoch are chosen on validation bins; R2 is of test bins,",
        "the mean of both dimensions, which were scored once. Two seeds. A lag is positive where velocity follows the rates; `one lag` is the best within 250 ms, `all lags` reads",
        "every bin within 250 ms at once (of the causal kind: the past 250 ms and the bin itself). Differences with a 95 % bootstrap over stretches of 10 s, for each seed.",
        "",
    ]
    for kind, name in NAMES.items():
        if kind in result:
            lines += _table(result[kind], name)
    if "causal" in result:
        lines += [
            "The causal model (`model.causal_controller`, `model.ic_bins=5`, `model.controller_lag_bins=0`) sees the counts of a chop up to the bin itself, from 250 ms after the chop's",
            "beginning on. Where the decoder may read the last 250 ms of either, the model is not told apart from smoothed spikes: a tie.",
            "",
        ]
    return "\n".join(lines)


def _table(found: dict[str, Any], name: str) -> list[str]:
    chops = found["n_chops"]
    lines = [
        f"Rates from {name}:",
        "",
        "| decoder | smoothed spikes | model | model minus smoothed spikes |",
        "|---|---|---|---|",
    ]
    for arm in ("one lag", "all lags"):
        spikes, models = found[arm]["smoothed spikes"], found[arm]["models"]
        own = f"{spikes['test']:.3f} (width {spikes['width_ms']:g} ms{_lag(spikes)})"
        each = ", ".join(f"{model['test']:.3f}" for model in models) + _lag_of(models)
        minus = "; ".join(
            f"{one['difference']:+.3f} ({one['interval_95'][0]:+.3f} to {one['interval_95'][1]:+.3f})"
            for one in found[arm]["model minus smoothed spikes"]
        )
        lines.append(f"| {arm} | {own} | {each} | {minus} |")
    by_lag = ", ".join(f"{lag} ms {r2:.3f}" for lag, r2 in found["model_by_lag_validation"].items())
    return [
        *lines,
        "",
        f"Chops: {chops['train']} train, {chops['valid']} validate, {chops['test']} test, {chops['unused']} in gaps. R2 of the first seed on validation bins by lag: {by_lag}.",
        f"Trained {found['epochs']} epochs of two members in {found['training_s']:.0f} s of one thread, beside other work.",
        "",
    ]


def _lag(arm: dict[str, Any]) -> str:
    return f", lag {_signed(arm['lag_ms'])} ms" if "lag_ms" in arm else ""


def _lag_of(models: list[dict[str, Any]]) -> str:
    lags = sorted({model["lag_ms"] for model in models if "lag_ms" in model})
    return f" (lag {', '.join(map(_signed, lags))} ms)" if lags else ""


def _signed(lag_ms: int) -> str:
    return f"{lag_ms:+d}" if lag_ms else "0"
