"""A real recording, from file to rates, in under a minute: better than what needs no model.

The full figures are in `benchmarks/`; this is a small model for a few epochs, to see that real data
go the whole way and that something is learned across units.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike, held_out_entries
from lfads_torch.config.read import read_settings
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.split_file import read_split
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.fit import FitOptions, fit_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.stored import read_recording_of

DATA = Path(__file__).parents[3] / "shared" / "data"
OPTIONS = ReadOptions(counts="spikes", condition="condition", bin_width_s=0.005)
SETTINGS = (
    "model.ic_encoder_size=24",
    "model.n_inferred_inputs=0",
    "model.generator_size=40",
    "model.n_factors=12",
    "model.initial_condition_size=16",
    "training.learning_rate=1e-2",
    "training.batch_size=64",
    "training.epochs=30",
    "loss.kl_ramp_increase=10",
    "loss.l2_ramp_increase=10",
    "inference.n_samples=10",
    "run.device=cpu",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = DATA / "mc_maze_large_subset.h5"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the shared data folder beside the repository")
    recording = read_recording(path, options=OPTIONS)
    split = read_split(DATA / "mc_maze_large_subset_split.json", recording)
    return fit_run(
        recording.with_split(split),
        read_settings(preset="small", overrides=SETTINGS),
        tmp_path_factory.mktemp("maze") / "run",
        options=FitOptions(data_path=path, read_options=OPTIONS),
    )


def test_validation_beats_constant_rates(run):
    """Mean nats per entry, against each unit's mean rate in the training trials."""
    from scipy import stats

    recording = read_recording_of(run)
    train, valid = (recording.counts[recording.split.trials(name)] for name in ("train", "valid"))
    null = -stats.poisson.logpmf(valid, train.mean((0, 1))).mean()
    scores = [row["valid_reconstruction"][0] for row in run.metrics.read()]
    assert min(scores) < null - 0.0015
    assert scores[0] > min(scores)


def test_held_out_units_are_predicted_from_the_others(run, tmp_path):
    recording = read_recording_of(run)
    target = infer_to_file(run, recording, tmp_path / "rates.nc", is_new=False)
    valid = recording.split.trials("valid")
    with open_rates(target) as rates:
        predicted = rates["rates"].values[valid] * recording.bin_width_s
        in_bins = rates["is_encoded_bin"].values.astype(bool)
    selection = held_out_entries(recording.split.is_encoded, in_bins)
    score = bits_per_spike(recording.counts[valid].astype(float), predicted, selection=selection)
    assert score.value > 0.1
    assert np.isfinite(predicted).all()
