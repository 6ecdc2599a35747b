"""Lorenz recordings against slow loops and the figures of the 2016 recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.synthetic.lorenz import (
    LorenzSettings,
    lorenz_recording,
    lorenz_trajectories,
    normalised,
)
from lfads_torch.errors import SettingsError

RECIPE = LorenzSettings(centring="condition", spikes="binary")
SMALL = LorenzSettings(
    n_conditions=3, n_trials_per_condition=5, n_valid_per_condition=1, n_units=7, n_steps=33,
    bin_width_s=0.003, n_burn_in_steps=11,
)  # fmt: skip


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_trajectories_are_euler_steps_of_the_lorenz_equations() -> None:
    found = lorenz_trajectories(SMALL, generator(1))
    starts = generator(1).standard_normal((3, 3))
    for condition in range(3):
        x, y, z = starts[condition, 0], starts[condition, 1], starts[condition, 2] + 25
        for step in range(SMALL.n_burn_in_steps + SMALL.n_steps):
            if step >= SMALL.n_burn_in_steps:
                np.testing.assert_allclose(
                    found[condition, step - SMALL.n_burn_in_steps], [x, y, z], rtol=1e-12
                )
            dx, dy, dz = 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z
            x, y, z = x + 0.006 * dx, y + 0.006 * dy, z + 0.006 * dz


def test_the_recipe_has_its_shapes_and_rates() -> None:
    recording = lorenz_recording(RECIPE, generator(0))
    assert recording.counts.shape == (1300, 500, 30)
    assert recording.bin_width_s == 0.002
    split = recording.split
    assert split is not None
    for condition in (0, 64):
        sets = split.trial_set[recording.condition == condition]
        assert (sets == "train").sum() == 16
        assert (sets == "valid").sum() == 4
    assert recording.counts.mean() / 0.002 == pytest.approx(11.5, abs=1.5)
    peak_per_ms = recording.true_rates.max() / 1000
    assert 1000 * -np.expm1(-peak_per_ms) == pytest.approx(540, abs=130)
    assert recording.counts.max() <= 2  # one spike per millisecond at most


def test_centring_per_condition_and_global_differ_as_they_say() -> None:
    raw = lorenz_trajectories(SMALL, generator(2))
    alone = normalised(raw, replace(SMALL, centring="condition"))
    together = normalised(raw, replace(SMALL, centring="global"))
    np.testing.assert_allclose(alone.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(alone).max(axis=1), 1)
    np.testing.assert_allclose(together.mean(axis=(0, 1)), 0, atol=1e-12)
    assert np.abs(together.mean(axis=1)).max() > 0.01
    signed = normalised(raw, replace(SMALL, centring="condition", scaling="maximum"))
    np.testing.assert_allclose(signed.max(axis=1), 1)


def test_true_rates_are_the_exponential_of_weighted_latents() -> None:
    recording = lorenz_recording(replace(SMALL, bin_width_s=0.001), generator(3))
    log_rates = np.log(recording.true_rates.astype(float) / 5.0).reshape(-1, 7)
    latents = recording.true_latents.astype(float).reshape(-1, 3)
    weights, *_ = np.linalg.lstsq(latents, log_rates, rcond=None)
    np.testing.assert_allclose(latents @ weights, log_rates, atol=1e-4)
    assert ((np.abs(weights) > 1 - 1e-3) & (np.abs(weights) < 2 + 1e-3)).all()
    assert (np.diff(weights, axis=1) > -1e-3).all()  # sorted over units


@pytest.mark.parametrize("spikes", ["poisson", "binary"])
def test_counts_have_the_mean_and_spread_of_their_law(spikes: str) -> None:
    settings = replace(
        SMALL, n_conditions=1, n_trials_per_condition=3000, bin_width_s=0.001, base_rate_hz=300.0,
        spikes=spikes,
    )  # fmt: skip
    recording = lorenz_recording(settings, generator(4))
    rate = recording.true_rates[0].astype(float) / 1000  # per ms
    mean = rate if spikes == "poisson" else -np.expm1(-rate)
    variance = mean if spikes == "poisson" else mean * (1 - mean)
    error = recording.counts.mean(axis=0) - mean
    z = error / np.sqrt(variance / 3000)
    assert np.abs(z).max() < 5
    assert z.std() == pytest.approx(1, abs=0.25)
    ratio = recording.counts.var(axis=0).sum() / variance.sum()
    assert ratio == pytest.approx(1, abs=0.03)


def test_bins_add_up_milliseconds() -> None:
    fine = lorenz_recording(replace(SMALL, bin_width_s=0.001), generator(5))
    coarse = lorenz_recording(SMALL, generator(5))
    assert coarse.counts.shape == (15, 11, 7)
    np.testing.assert_array_equal(coarse.counts, fine.counts.reshape(15, 11, 3, 7).sum(axis=2))
    np.testing.assert_allclose(
        coarse.true_rates, fine.true_rates.reshape(15, 11, 3, 7).mean(axis=2), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bin_width_s": 0.0015}, "whole multiple"),
        ({"bin_width_s": 0.002}, "does not divide into bins"),
        ({"n_valid_per_condition": 5}, "leave none to train on"),
        ({"euler_step": 0.5}, "too large"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        lorenz_recording(replace(SMALL, **change), generator(0))
