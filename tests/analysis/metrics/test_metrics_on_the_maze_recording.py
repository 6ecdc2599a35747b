"""The definitions give the published figures on a real recording, where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lfads_torch.analysis.metrics.baselines import condition_mean_rates, smoothed_behaviour_r2
from lfads_torch.analysis.metrics.behaviour import condition_mean_r2
from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike, held_out_entries
from lfads_torch.analysis.metrics.psth import split_half_ceiling

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def maze():
    path = DATA / "mc_maze_large_subset.h5"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the shared data folder beside the repository")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        arrays = {name: file[name][()] for name in ("spikes", "condition", "hand_velocity")}
    split = json.loads((DATA / "mc_maze_large_subset_split.json").read_text())
    arrays["valid"] = np.isin(np.arange(len(arrays["spikes"])), split["validation_trials"])
    arrays["is_encoded"] = ~np.isin(np.arange(162), split["held_out_units"])
    return arrays


def test_the_condition_mean_gives_285_thousandths_of_a_bit(maze):
    counts, condition, valid = maze["spikes"].astype(float), maze["condition"], maze["valid"]
    rates = condition_mean_rates(
        counts[~valid], condition[~valid], condition=condition[valid], bin_width_s=0.005
    )
    selection = held_out_entries(maze["is_encoded"], np.ones(100, dtype=bool))
    score = bits_per_spike(counts[valid], rates, selection=selection)
    assert score.value == pytest.approx(0.285, abs=5e-4)


def test_the_condition_alone_gives_most_of_the_velocity(maze):
    velocity, condition, valid = maze["hand_velocity"], maze["condition"], maze["valid"]
    score = condition_mean_r2(
        velocity[~valid], condition[~valid], behaviour=velocity[valid], condition=condition[valid]
    )
    np.testing.assert_allclose(score.per_column, [0.957, 0.906], atol=5e-4)


def test_the_psth_ceiling_is_about_62_hundredths(maze):
    ceiling = split_half_ceiling(
        maze["spikes"], maze["condition"], bin_width_s=0.005, rng=np.random.default_rng(0)
    )
    assert ceiling.half == pytest.approx(0.62, abs=0.015)
    assert ceiling.full == pytest.approx(0.73, abs=0.015)


def test_smoothed_spikes_decode_less_than_the_condition_gives(maze):
    counts, velocity, valid = maze["spikes"], maze["hand_velocity"], maze["valid"]
    score = smoothed_behaviour_r2(
        counts[~valid],
        velocity[~valid],
        counts=counts[valid],
        behaviour=velocity[valid],
        bin_width_s=0.005,
    )
    assert 0.4 < score.value < 0.7
