"""The scores of the Neural Latents Benchmark under its own names (Pei et al. 2021).

They follow its definitions, with two differences of protocol: the penalty of the ridge regression
is cross-validated over whole trials, and units without variance have no PSTH R2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lfads_torch.analysis.metrics.arrays import (
    Labels,
    Numbers,
    Truths,
    as_three_axes,
    need_shape,
)
from lfads_torch.analysis.metrics.behaviour import behaviour_r2
from lfads_torch.analysis.metrics.bits_per_spike import (
    bits_per_spike,
    forward_entries,
    held_out_entries,
)
from lfads_torch.analysis.metrics.intervals import TrialScore
from lfads_torch.analysis.metrics.psth import psth, single_trial_psth_r2

__all__ = ["BenchmarkTrials", "benchmark_scores"]


@dataclass(frozen=True, kw_only=True)
class BenchmarkTrials:
    """One set of trials with the rates a model gave them; T holds encoded and forward bins."""

    counts: Numbers  # [B, T, N], NaN where missing
    rates: Numbers  # [B, T, N], expected counts per bin
    behaviour: Numbers | None = None  # [B, T, D], already shifted by the lag if there is one
    condition: Labels | None = None  # [B]

    def __post_init__(self) -> None:
        counts = as_three_axes("counts", self.counts)
        need_shape("rates", self.rates, counts.shape)
        if self.behaviour is not None:
            need_shape("behaviour", self.behaviour, (*counts.shape[:2], None))
        if self.condition is not None:
            need_shape("conditions", self.condition, (len(counts),))


def benchmark_scores(
    train: BenchmarkTrials,
    evaluated: BenchmarkTrials,
    *,
    is_encoded: Truths,
    is_encoded_bin: Truths,
    bin_width_s: float,
    psth_kernel_s: float = 0.05,
) -> dict[str, TrialScore]:
    """`co-bps`, `vel R2`, `psth R2` and `fp-bps`, each where the trials allow it.

    `co-bps`: held-out units in encoded bins; `fp-bps`: all units in forward bins; `vel R2`: ridge
    regression from all units' rates in encoded bins, fitted on `train`; `psth R2`: single-trial
    rates in encoded bins against the smoothed condition averages of both sets together. The order
    is that of the benchmark's tables.
    """
    need_shape("is_encoded", is_encoded, (np.shape(evaluated.counts)[2],))
    need_shape("is_encoded_bin", is_encoded_bin, (np.shape(evaluated.counts)[1],))
    scores: dict[str, TrialScore] = {}
    held_out = held_out_entries(is_encoded, is_encoded_bin)
    if held_out is not None:
        scores["co-bps"] = bits_per_spike(evaluated.counts, evaluated.rates, selection=held_out)
    if train.behaviour is not None and evaluated.behaviour is not None:
        scores["vel R2"] = behaviour_r2(
            train.rates[:, is_encoded_bin],
            train.behaviour[:, is_encoded_bin],
            rates=evaluated.rates[:, is_encoded_bin],
            behaviour=evaluated.behaviour[:, is_encoded_bin],
        )
    if train.condition is not None and evaluated.condition is not None:
        target = psth(
            np.concatenate([train.counts, evaluated.counts])[:, is_encoded_bin],
            np.concatenate([train.condition, evaluated.condition]),
            bin_width_s=bin_width_s,
            kernel_s=psth_kernel_s,
        )
        scores["psth R2"] = single_trial_psth_r2(
            evaluated.rates[:, is_encoded_bin], evaluated.condition, target=target
        )
    forward = forward_entries(is_encoded, is_encoded_bin)
    if forward is not None:
        scores["fp-bps"] = bits_per_spike(evaluated.counts, evaluated.rates, selection=forward)
    return scores
