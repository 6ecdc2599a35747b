"""Synthetic systems by name, and the messages for wrong settings."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.data.synthetic.choose import available_systems, plan_synthetic, synthesise
from lfads_torch.errors import SettingsError


@pytest.mark.parametrize("name", sorted(available_systems()))
def test_the_seed_decides_everything(name: str) -> None:
    first, again, other = (
        synthesise(name, seed, n_conditions=3, n_trials_per_condition=5) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.counts, again.counts)
    np.testing.assert_array_equal(first.true_rates, again.true_rates)
    assert (first.counts != other.counts).any()
    assert first.provenance["settings"]["n_conditions"] == 3


@pytest.mark.parametrize("name", sorted(available_systems()))
def test_what_will_be_made_is_known_before(name: str) -> None:
    plan = plan_synthetic(name, 3, n_conditions="3", n_trials_per_condition=5)
    assert dict(plan.make().provenance) == plan.provenance()


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    synthesise("demo", 1, n_conditions=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_the_demo_is_small_and_has_three_sets() -> None:
    recording = synthesise("demo", 0)
    assert recording.counts.shape == (400, 60, 40)
    assert recording.counts.mean() / recording.bin_width_s == pytest.approx(15, abs=2)
    assert recording.split is not None
    assert [len(recording.split.trials(name)) for name in ("train", "valid", "test")] == [
        280,
        80,
        40,
    ]
    assert recording.true_rates.std(axis=(0, 1)).min() > 1


def test_text_becomes_the_setting_s_type() -> None:
    recording = synthesise("chaotic", 0, n_conditions="2", gain="2.5", has_pulses="true")
    assert recording.provenance["settings"]["gain"] == 2.5
    assert recording.true_inputs is not None
    assert recording.n_trials == 20


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("lorentz", {}, "Did you mean 'lorenz'"),
        ("lorenz", {"n_unit": 3}, "Did you mean 'n_units'"),
        ("lorenz", {"n_units": 0}, "at least 1 is needed"),
        ("lorenz", {"n_units": 2.5}, "a whole number is needed"),
        ("lorenz", {"base_rate_hz": "fast"}, "a number is needed"),
        ("lorenz", {"base_rate_hz": float("nan")}, "a number is needed"),
        ("lorenz", {"base_rate_hz": 0}, "more than 0 spikes/s is needed"),
        ("lorenz", {"centring": "none"}, "one of global, condition is needed"),
        ("chaotic", {"has_pulses": "maybe"}, "true or false is needed"),
        ("chaotic", {"gain": None}, "a number is needed"),
    ],
)
def test_wrong_settings_are_named(name: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        synthesise(name, 0, **values)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    with pytest.raises(SettingsError, match="seed"):
        synthesise("demo", seed)  # type: ignore[arg-type]
