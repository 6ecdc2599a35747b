"""The scores of `lfads evaluate` that docs/scores.md names as the Neural Latents Benchmark's."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_runs import fitted, rich_recording, with_rates

from lfads_torch.analysis.nlb import BenchmarkTrials, benchmark_scores
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.evaluate import Protocol, evaluate_run
from lfads_torch.workflows.stored import read_recording_of

SETTINGS = ("split.held_out_fraction=0.34", "split.n_forward_bins=2", "split.test_fraction=0.2")


def test_the_benchmarks_figures_are_among_those_of_a_run(tmp_path):
    run = with_rates(fitted(rich_recording(), tmp_path / "run", *SETTINGS))
    evaluation = evaluate_run(run, which_set="test", protocol=Protocol(n_bootstrap=0))
    recording = read_recording_of(run)
    with open_rates(run.rates_path) as rates:
        expected = rates["rates"].values.astype(float) * recording.bin_width_s
        is_encoded, is_encoded_bin = (
            rates[name].values == 1 for name in ("is_encoded", "is_encoded_bin")
        )

    def trials(name):
        chosen = recording.split.trials(name)
        return BenchmarkTrials(
            counts=recording.counts[chosen],
            rates=expected[chosen],
            behaviour=recording.behaviour["hand"][chosen],
            condition=recording.condition[chosen],
        )

    found = benchmark_scores(
        trials("train"),
        trials("test"),
        is_encoded=is_encoded,
        is_encoded_bin=is_encoded_bin,
        bin_width_s=recording.bin_width_s,
    )
    for theirs, ours in {
        "co-bps": "co_smoothing_bits_per_spike",
        "vel R2": "behaviour_hand_r2",
        "fp-bps": "forward_bits_per_spike",
    }.items():
        assert evaluation.score(ours).value == pytest.approx(found[theirs].value), ours
    # Against averages of the training trials alone: near, and not the same.
    single_trial = evaluation.score("psth_r2_single_trial").value
    assert np.isfinite(found["psth R2"].value)
    assert single_trial != pytest.approx(found["psth R2"].value)
