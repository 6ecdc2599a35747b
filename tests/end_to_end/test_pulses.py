"""Large pulses into a calm network, from spikes to inferred inputs: the largest is at the pulse.

The chaotic networks of the 2016 paper are in `benchmarks/pulses.py`; this is a small gain and a
network whose units all respond to the pulse, to learn in seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lfads_torch.analysis.metrics.inferred_inputs import (
    AutoregressivePrior,
    PulseTiming,
    pulse_timing,
    whitened_magnitude,
)
from lfads_torch.config.read import read_settings
from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file

SEED = 2
SYSTEM = {
    "n_conditions": 20,
    "n_trials_per_condition": 10,
    "n_valid_per_condition": 3,
    "n_units": 30,
    "duration_s": 0.3,
    "gain": 0.5,
    "max_rate_hz": 100.0,
}
SETTINGS = (
    "model.ic_encoder_size=12",
    "model.controller_encoder_size=12",
    "model.controller_size=12",
    "model.n_inferred_inputs=1",
    "model.generator_size=24",
    "model.n_factors=6",
    "model.initial_condition_size=8",
    "augmentation.coordinated_dropout_rate=0",
    "augmentation.dropout_rate=0.02",
    "training.learning_rate=0.02",
    "training.batch_size=35",
    "training.epochs=25",
    "loss.kl_scale_unit=beta",
    "loss.kl_initial_condition_scale=0.3",
    "loss.kl_input_scale=0.3",
    "loss.kl_ramp_increase=5",
    "loss.l2_ramp_increase=5",
    "inference.n_samples=10",
    "run.threads=1",
    "run.device=cpu",
)


@pytest.fixture(scope="module")
def pulses():
    return synthesise("chaotic-pulses", SEED, **SYSTEM)


@pytest.fixture(scope="module")
def run(pulses, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pulses") / "run"
    return fit_run(pulses, read_settings(preset="small", overrides=SETTINGS), folder)


def timing(rates_path: Path, recording: Recording) -> PulseTiming:
    """Of validation trials, by the prior's stationary width as the rates file has it."""
    valid = recording.split.trials("valid")
    with open_rates(rates_path) as rates:
        mean = rates["inferred_input_mean"].values[valid]
        width = np.atleast_1d(rates.attrs["input_prior_std"])
        time_s = rates["time"].values
    prior = AutoregressivePrior(time_constant_bins=np.zeros(1), variance=width**2)
    return pulse_timing(
        whitened_magnitude(mean, prior),
        time_s=time_s,
        pulse_time_s=np.asarray(recording.extra["pulse_time_s"])[valid],
    )


def test_the_largest_inferred_input_is_at_the_pulse(run, pulses, tmp_path):
    found = timing(infer_to_file(run, pulses, tmp_path / "rates.nc", is_new=False), pulses)
    assert found.n_trials == 60
    assert found.chance_permuted < 0.6
    assert found.value > found.chance_permuted + 0.3


def test_without_pulses_it_is_not_at_their_times(run, tmp_path):
    """The same network, initial states and nominal times, through the same model."""
    control = synthesise("chaotic-pulses", SEED, **SYSTEM, pulse_magnitude=0.0)
    found = timing(infer_to_file(run, control, tmp_path / "rates.nc", is_new=True), control)
    assert found.value < 0.4
