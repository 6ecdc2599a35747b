"""A small Lorenz recording, from truth to rates: the state and the rates come back.

The 2016 paper's sizes, draws and bins are in `benchmarks/lorenz.py`; this is a slower attractor,
more spikes and a small model, to learn in seconds.
"""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.analysis.metrics.truth import true_latent_r2, true_rate_r2
from lfads_torch.config.read import read_settings
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file

SYSTEM = {
    "n_conditions": 14,
    "n_trials_per_condition": 14,
    "n_valid_per_condition": 3,
    "n_units": 30,
    "n_steps": 700,
    "bin_width_s": 0.02,
    "base_rate_hz": 25.0,
    "weight_scale": 0.8,
    "euler_step": 0.003,
}
SETTINGS = (
    "model.ic_encoder_size=20",
    "model.n_inferred_inputs=0",
    "model.generator_size=32",
    "model.n_factors=5",
    "model.initial_condition_size=16",
    "augmentation.coordinated_dropout_rate=0",
    "augmentation.dropout_rate=0.02",
    "training.learning_rate=0.015",
    "training.batch_size=50",
    "training.epochs=60",
    "loss.kl_ramp_increase=5",
    "loss.l2_ramp_increase=5",
    "inference.n_samples=10",
    "run.threads=1",
    "run.device=cpu",
)


@pytest.fixture(scope="module")
def recording():
    return synthesise("lorenz", 0, **SYSTEM)


@pytest.fixture(scope="module")
def inferred(recording, tmp_path_factory):
    """The rates file of a fit, in memory."""
    folder = tmp_path_factory.mktemp("lorenz")
    run = fit_run(recording, read_settings(preset="small", overrides=SETTINGS), folder / "run")
    target = infer_to_file(run, recording, folder / "rates.nc", is_new=False)
    with open_rates(target) as rates:
        return rates.load()


def test_true_rates_come_back_on_validation_trials(recording, inferred):
    """Against .80 and .84 of two draws; the mean over trials and bins would have 0."""
    valid = recording.split.trials("valid")
    score = true_rate_r2(inferred["rates"].values[valid], recording.true_rates[valid])
    assert score.value > 0.6


def test_the_state_is_an_affine_map_of_the_factors(recording, inferred):
    """Fitted on training trials, scored on validation trials; .79 and .82 of two draws."""
    factors, latents = inferred["factors"].values, recording.true_latents
    train, valid = (recording.split.trials(name) for name in ("train", "valid"))
    score = true_latent_r2(
        factors[train], latents[train], factors=factors[valid], latents=latents[valid]
    )
    assert score.value > 0.6
    mixed = np.roll(factors[valid], 1, axis=0)  # the factors of other trials say nothing
    other = true_latent_r2(factors[train], latents[train], factors=mixed, latents=latents[valid])
    assert other.value < score.value - 0.3
