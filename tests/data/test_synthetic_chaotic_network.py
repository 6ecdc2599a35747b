"""Chaotic-network recordings against a slow loop, and their pulses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.synthetic.chaotic_network import (
    ChaoticNetworkSettings,
    chaotic_network_recording,
    run_network,
)
from lfads_torch.errors import SettingsError

SMALL = ChaoticNetworkSettings(n_conditions=9, n_trials_per_condition=5, n_valid_per_condition=1)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_the_defaults_are_the_published_sizes() -> None:
    settings = ChaoticNetworkSettings()
    assert (settings.n_conditions, settings.n_trials_per_condition) == (400, 10)
    assert (settings.n_units, settings.gain, settings.time_constant_s) == (50, 1.5, 0.025)
    assert settings.n_valid_per_condition == 2
    assert settings.max_rate_hz == 30


def test_the_network_follows_its_equation() -> None:
    rng = generator(0)
    states, recurrent, pulse = rng.normal(size=(3, 5)), rng.normal(size=(5, 5)), rng.normal(size=5)
    inputs = np.zeros((3, 7))
    inputs[1, 4] = 20.0
    found = run_network(states, inputs, recurrent=recurrent, pulse_weights=pulse, step=0.4)
    for trial in range(3):
        x = states[trial].copy()
        for time in range(7):
            drive = [sum(recurrent[i, j] * np.tanh(x[j]) for j in range(5)) for i in range(5)]
            x = 0.6 * x + 0.4 * np.array(drive)
            if inputs[trial, time]:
                x = x + 0.4 * pulse * inputs[trial, time]
            np.testing.assert_allclose(found[trial, time], np.tanh(x), rtol=1e-10)


def test_rates_span_the_range_in_every_trial_and_unit() -> None:
    recording = chaotic_network_recording(SMALL, generator(1))
    assert recording.counts.shape == (45, 100, 50)
    np.testing.assert_allclose(recording.true_rates.min(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(recording.true_rates.max(axis=1), 30, rtol=1e-5)
    assert recording.true_inputs is None
    np.testing.assert_array_equal(recording.true_rates[0], recording.true_rates[4])
    assert (recording.counts[0] != recording.counts[4]).any()
    assert (recording.true_rates[0] != recording.true_rates[5]).any()


def test_every_trial_has_one_pulse_in_the_middle_half_and_says_when() -> None:
    settings = replace(SMALL, has_pulses=True, n_conditions=80)
    recording = chaotic_network_recording(settings, generator(2))
    assert recording.true_inputs.shape == (400, 100, 1)
    assert ((recording.true_inputs != 0).sum(axis=(1, 2)) == 1).all()
    assert recording.true_inputs.max() == 20
    bins = recording.true_inputs[:, :, 0].argmax(axis=1)
    assert bins.min() == 25
    assert bins.max() == 74
    np.testing.assert_allclose(recording.extra["pulse_time_s"], recording.time_s[bins])
    assert len(np.unique(bins[:5])) > 1  # trials of one condition have times of their own


def test_the_control_without_pulses_is_the_same_network() -> None:
    pulses = chaotic_network_recording(replace(SMALL, has_pulses=True), generator(3))
    control = chaotic_network_recording(
        replace(SMALL, has_pulses=True, pulse_magnitude=0.0), generator(3)
    )
    plain = chaotic_network_recording(SMALL, generator(3))
    np.testing.assert_array_equal(control.counts, plain.counts)
    np.testing.assert_array_equal(control.extra["pulse_time_s"], pulses.extra["pulse_time_s"])
    assert not control.true_inputs.any()
    # Up to an offset and a scale per trial and unit, a pulse changes nothing before it comes.
    first = pulses.true_inputs[:, :, 0].argmax(axis=1)
    for trial in (0, 17):
        before = slice(0, first[trial])
        a = pulses.true_rates[trial, before].astype(float)
        b = plain.true_rates[trial, before].astype(float)
        for unit in range(3):
            assert np.corrcoef(a[:, unit], b[:, unit])[0, 1] > 0.999
        after = slice(first[trial], None)
        changed = [
            np.corrcoef(pulses.true_rates[trial, after, u], plain.true_rates[trial, after, u])[0, 1]
            for u in range(50)
        ]
        assert np.median(changed) < 0.9


def test_counts_are_poisson() -> None:
    settings = replace(SMALL, n_conditions=1, n_trials_per_condition=2000, n_units=3)
    recording = chaotic_network_recording(settings, generator(4))
    mean = recording.true_rates[0].astype(float) * 0.01
    sure = mean > 0.02
    z = (recording.counts.mean(axis=0) - mean)[sure] / np.sqrt(mean[sure] / 2000)
    assert np.abs(z).max() < 5
    assert z.std() == pytest.approx(1, abs=0.2)
    assert recording.counts.var(axis=0).sum() / mean.sum() == pytest.approx(1, abs=0.03)


def test_a_higher_gain_diverges_faster() -> None:
    """Two trials that differ by one small pulse drift apart further where the gain is higher."""

    def spread(gain: float) -> float:
        rng = generator(5)
        recurrent = gain * rng.normal(size=(50, 50)) / np.sqrt(50)
        state = rng.normal(size=(1, 50)).repeat(2, axis=0)
        state[1] += 1e-6
        activity = run_network(
            state, np.zeros((2, 300)), recurrent=recurrent, pulse_weights=np.zeros(50), step=0.4
        )
        return float(np.abs(activity[0, -50:] - activity[1, -50:]).mean())

    assert spread(2.5) > 10 * spread(1.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration_s": 0.995}, "does not divide"),
        ({"bin_width_s": 0.05}, "must be below time_constant_s"),
        ({"n_test_per_condition": 4}, "leave none to train on"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        chaotic_network_recording(replace(SMALL, **change), generator(0))
