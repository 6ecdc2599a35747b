"""Settings against the sizes of a recording: rules, presets chosen, ramps, divergences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.config.check import replace_values
from lfads_torch.config.preset_choice import choose_preset
from lfads_torch.config.read import read_settings
from lfads_torch.config.resolve import resolve
from lfads_torch.config.rules import check_against_data, epochs_until_full_weight
from lfads_torch.config.scales import betas, published_scales, time_constant_bins
from lfads_torch.config.sizes import DataSizes, sizes_of
from lfads_torch.config.tree import Settings, flatten, to_yaml
from lfads_torch.data.recording import Recording, Split
from lfads_torch.errors import DataError, SettingsError

MAZE = DataSizes(
    n_trials_train=400, n_trials_valid=100, n_bins=100, n_encoded_bins=100, n_units=162,
    n_encoded_units=122,
)  # fmt: skip


def settings_with(**values: object) -> Settings:
    return replace_values(Settings(), {key.replace("__", "."): v for key, v in values.items()})


# --- rules ---


@pytest.mark.parametrize(
    ("values", "changed", "message"),
    [
        ({}, {"n_trials_train": 0}, "no trial is left for training"),
        ({}, {"n_trials_valid": 0}, "no trial is left for validation"),
        ({}, {"n_encoded_units": 0}, "all 162 units are held out"),
        ({}, {"n_encoded_bins": 0}, "so the encoder sees nothing"),
        ({}, {"present_share": 0.0}, "every entry of the training trials is missing"),
        ({"split.n_forward_bins": 100}, {}, "split.n_forward_bins is 100 and the recording has"),
        ({"model.ic_bins": 100}, {}, "model.ic_bins is 100 and the encoder sees 100 bins; needed "),
        ({"model.ic_bins": 33}, {"n_encoded_bins": 33}, "needed is at most 32, or 0 to use them"),
        (
            {"training.score_entries": "held_out"},
            {"n_encoded_units": 162},
            "training.score_entries is held_out, but no unit is held out",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    values: dict[str, object], changed: dict[str, int], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_against_data(replace_values(Settings(), values), replace(MAZE, **changed))
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 1


def test_all_that_cannot_work_is_told_at_once() -> None:
    sizes = replace(MAZE, n_trials_train=0, n_trials_valid=0, n_encoded_units=0)
    with pytest.raises(SettingsError) as caught:
        check_against_data(Settings(), sizes)
    assert str(caught.value).count("\n  - ") == 3


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model.ic_bins": 98},
        {"training.score_entries": "held_out"},
        {"training.patience": 0},
        {"training.best_from": "start", "training.epochs": 102},
    ],
)
def test_what_works_gives_no_warning(values: dict[str, object]) -> None:
    assert check_against_data(replace_values(Settings(), values), MAZE) == []


@pytest.mark.parametrize(
    ("values", "changed", "message"),
    [
        ({"model.controller_lag_bins": 100}, {}, "controller's encoder reads 100 bins"),
        ({"model.ic_bins": 99}, {}, "controller's encoder reads 1 bin:"),
        ({"training.batch_size": 401}, {}, "training.batch_size is 401 and 400 trials train"),
        ({"model.n_factors": 163}, {}, "model.n_factors is 163 and the recording has 162 units"),
        ({"training.epochs": 80}, {}, "full weight in 81 epochs and training.epochs is 80"),
        ({"training.epochs": 181}, {}, "after 181 epochs at the earliest"),
        (
            {"training.epochs": 101, "training.best_from": "start"},
            {},
            "after 101 epochs at the earliest (both ramps are over after 81); with training.epochs "
            "101 the fit never ends early",
        ),
        ({"loss.reconstruction": "sum"}, {}, "the scales act as beta (1e-05 for the initial"),
        ({"loss.kl_input_scale": 1e-2}, {}, "loss.kl_input_scale amounts to beta 162"),
        (
            {"augmentation.coordinated_dropout_rate": 0.01},
            {"n_encoded_units": 1, "n_encoded_bins": 33},
            "a trial has 33 encoded entries",
        ),
    ],
)
def test_what_is_unwise_is_warned_of(
    values: dict[str, object], changed: dict[str, int], message: str
) -> None:
    warnings = check_against_data(replace_values(Settings(), values), replace(MAZE, **changed))
    assert len(warnings) == 1
    assert message in warnings[0]


def test_factors_of_the_preset_that_auto_chose_are_not_complained_of() -> None:
    few = replace(MAZE, n_units=15, n_encoded_units=15)
    found = resolve(Settings(), few).settings
    assert (found.run.preset, found.model.n_factors) == ("small", 20)
    assert not [each for each in check_against_data(found, few) if "n_factors" in each]
    asked = resolve(read_settings(preset="small"), few).settings
    assert [each for each in check_against_data(asked, few) if "n_factors is 20" in each]


def test_without_a_controller_its_lag_is_no_matter() -> None:
    settings = settings_with(model__controller_lag_bins=100, model__n_inferred_inputs=0)
    assert check_against_data(settings, MAZE) == []


@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ({}, 81),
        ({"loss.l2_ramp_start": 10}, 91),
        ({"loss.kl_ramp_increase": 0, "loss.l2_ramp_increase": 0}, 1),
        ({"loss.ramp_unit": "steps"}, 12),  # 81 steps at 7 per epoch
    ],
)
def test_epochs_until_full_weight(values: dict[str, object], epochs: int) -> None:
    settings = replace_values(Settings(), values)
    assert epochs_until_full_weight(settings, MAZE) == epochs
    loss = settings.loss
    if loss.ramp_unit == "epochs":  # the definition of the ramps, in MODEL's formula
        weight = [(e + 1 - loss.l2_ramp_start) / (loss.l2_ramp_increase + 1) for e in range(200)]
        assert min(e for e, w in enumerate(weight) if w >= 1) + 1 == epochs


# --- scales ---


def test_beta_of_the_published_maze_settings() -> None:
    strength = betas(read_settings(preset="maze_peer"), MAZE)
    assert strength.initial_condition == pytest.approx(0.019, abs=5e-4)
    assert strength.inputs == pytest.approx(0.089, abs=5e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("unit", ["published", "beta"])
def test_beta_weighs_against_the_summed_reconstruction(reduction: str, unit: str) -> None:
    settings = settings_with(
        loss__reconstruction=reduction,
        loss__kl_scale_unit=unit,
        loss__kl_initial_condition_scale=0.3,
        loss__kl_input_scale=0.7,
        model__ic_bins=7,
    )
    sizes = replace(MAZE, present_share=0.5)
    entries = (100 - 7) * 162 * 0.5
    entering, strength = published_scales(settings, sizes), betas(settings, sizes)
    # loss = reconstruction + k KL; in units where the reconstruction is the sum over the present
    # entries, KL weighs beta. "sum" is the mean times all entries, the missing ones too.
    shrinks = 1 / entries if reduction == "mean" else 1 / 0.5
    assert strength.inputs == pytest.approx(entering.inputs / shrinks)
    assert strength.initial_condition == pytest.approx(entering.initial_condition / shrinks)
    known = strength if unit == "beta" else entering
    assert (known.initial_condition, known.inputs) == pytest.approx((0.3, 0.7))


def test_time_constants_in_ms_become_bins() -> None:
    model = settings_with(
        model__time_constant_unit="ms", model__input_prior_time_constant=100.0
    ).model
    assert time_constant_bins(model, 0.005) == pytest.approx(20.0)
    assert time_constant_bins(Settings().model, 0.005) == 10.0
    with pytest.raises(SettingsError, match="the bin width is 0 s; needed is a width above 0"):
        time_constant_bins(model, 0.0)


# --- presets ---


@pytest.mark.parametrize(
    ("n_trials", "n_units", "name"),
    [
        (1, 1, "small"),
        (199, 500, "small"),
        (5000, 49, "small"),
        (200, 50, "medium"),
        (400, 162, "medium"),
        (999, 500, "medium"),
        (5000, 99, "medium"),
        (1000, 100, "large"),
    ],
)
def test_auto_chooses_by_trials_and_units(n_trials: int, n_units: int, name: str) -> None:
    sizes = replace(MAZE, n_trials_train=n_trials, n_units=n_units)
    assert choose_preset(sizes) == name
    resolved = resolve(Settings(), sizes)
    assert resolved.settings.run.preset == name
    assert resolved.settings.model == read_settings(preset=name).model
    assert resolved.notes[0].startswith(f"preset {name}, for {n_trials} training trial")


def test_auto_leaves_what_the_user_chose_even_where_it_is_the_default() -> None:
    settings = read_settings(overrides=("model.n_factors=40", "model.ic_encoder_size=33"))
    model = resolve(settings, replace(MAZE, n_trials_train=33)).settings.model
    assert (model.n_factors, model.ic_encoder_size, model.controller_size) == (40, 33, 64)


def test_auto_leaves_values_of_records_made_by_hand() -> None:
    by_hand = replace(Settings(), model=replace(Settings().model, n_factors=3))
    assert resolve(by_hand, replace(MAZE, n_trials_train=33)).settings.model.n_factors == 3


@pytest.mark.parametrize("preset", ["auto", "small", "large", "maze_peer", "demo"])
@pytest.mark.parametrize("n_trials", [1, 33, 400, 3000])
def test_resolving_twice_or_from_the_stored_file_changes_nothing(
    preset: str, n_trials: int, tmp_path
) -> None:
    sizes = replace(MAZE, n_trials_train=n_trials, n_bins=33, n_encoded_bins=33)
    once = resolve(read_settings(preset=preset), sizes).settings
    assert once.run.preset != "auto"
    again = resolve(once, sizes)
    assert (again.settings, again.notes) == (once, ())
    (tmp_path / "settings.yaml").write_text(to_yaml(once), encoding="utf-8")
    stored = resolve(read_settings(tmp_path / "settings.yaml"), replace(sizes, n_units=3))
    assert (stored.settings, stored.notes) == (once, ())


# --- ramps ---


@pytest.mark.parametrize("n_trials", [1, 33, 64, 65, 385, 400, 6400])
def test_ramps_of_presets_last_500_steps_or_more(n_trials: int) -> None:
    sizes = replace(MAZE, n_trials_train=n_trials)
    resolved = resolve(read_settings(preset="medium"), sizes)
    loss = resolved.settings.loss
    assert loss.kl_ramp_increase == loss.l2_ramp_increase
    steps = sizes.steps_per_epoch(64)
    assert loss.kl_ramp_increase * steps >= 500
    assert loss.kl_ramp_increase == 80 or (loss.kl_ramp_increase - 1) * steps < 500
    assert len(resolved.notes) == (0 if loss.kl_ramp_increase == 80 else 2)


def test_ramps_that_the_user_chose_stay() -> None:
    settings = read_settings(overrides=("loss.kl_ramp_increase=80",))
    loss = resolve(settings, replace(MAZE, n_trials_train=33)).settings.loss
    assert (loss.kl_ramp_increase, loss.l2_ramp_increase) == (80, 500)


@pytest.mark.parametrize(("epochs", "ramp"), [(1, 1), (3, 1), (33, 16), (100, 50), (900, 450)])
def test_ramps_of_presets_take_half_of_the_training_at_most(epochs: int, ramp: int) -> None:
    settings = replace_values(Settings(), {"training.epochs": epochs})
    loss = resolve(settings, replace(MAZE, n_trials_train=33)).settings.loss
    assert (loss.kl_ramp_increase, loss.l2_ramp_increase) == (ramp, ramp)


def test_ramps_in_steps_are_500_steps() -> None:
    resolved = resolve(settings_with(loss__ramp_unit="steps"), MAZE)
    assert resolved.settings.loss.kl_ramp_increase == 500
    assert "loss.kl_ramp_increase 500 steps instead of 80" in resolved.notes[1]


def test_the_ramps_of_the_demo_stay_short() -> None:
    demo = read_settings(preset="demo")
    sizes = replace(MAZE, n_trials_train=320, n_bins=50, n_encoded_bins=50, n_units=40)
    assert resolve(demo, sizes).settings == demo
    assert epochs_until_full_weight(demo, sizes) < demo.training.epochs / 2


# --- divergences ---


@pytest.mark.parametrize(
    ("n_bins", "n_units", "is_near"),
    [(100, 162, True), (25, 162, True), (400, 162, True), (24, 162, False), (401, 162, False)],
)
def test_divergences_keep_their_strength_far_from_the_maze(
    n_bins: int, n_units: int, is_near: bool
) -> None:
    sizes = replace(MAZE, n_bins=n_bins, n_encoded_bins=n_bins, n_units=n_units)
    resolved = resolve(read_settings(preset="medium"), sizes)
    if is_near:
        assert resolved.notes == ()
        assert resolved.settings.loss.kl_scale_unit == "published"
        return
    assert resolved.settings.loss.kl_scale_unit == "beta"
    assert betas(resolved.settings, sizes).inputs == pytest.approx(1e-5 * 16200)
    assert betas(resolved.settings, sizes).initial_condition == pytest.approx(0.162)
    assert len(resolved.notes) == 1
    assert f"bins * units is {n_bins * n_units}, far from the 16200" in resolved.notes[0]


def test_divergences_beside_a_sum_are_given_in_beta() -> None:
    resolved = resolve(settings_with(loss__reconstruction="sum"), MAZE)
    assert betas(resolved.settings, MAZE).inputs == pytest.approx(0.162)
    assert any("the reconstruction is a sum" in note for note in resolved.notes)
    assert check_against_data(resolved.settings, MAZE) == []


@pytest.mark.parametrize(
    "name", ["loss.kl_input_scale", "loss.kl_initial_condition_scale", "loss.kl_scale_unit"]
)
def test_divergences_that_the_user_chose_stay(name: str) -> None:
    settings = replace_values(Settings(), {name: flatten(Settings())[name]})
    sizes = replace(MAZE, n_bins=3, n_encoded_bins=3)
    loss = resolve(settings, sizes).settings.loss
    assert loss.kl_scale_unit == "published"
    assert (loss.kl_input_scale, loss.kl_initial_condition_scale) == (1e-5, 1e-5)


# --- sizes ---


def test_sizes_are_read_off_a_split_recording() -> None:
    counts = np.ones((5, 3, 4))
    counts[0, 0, :2] = np.nan  # trial 0 trains
    counts[4] = np.nan  # trial 4 does not
    split = Split(
        trial_set=np.array(["train", "train", "train", "valid", "unused"]),
        is_encoded=np.array([True, False, True, True]),
        n_encoded_bins=2,
    )
    recording = Recording(
        counts=counts, bin_width_s=0.01, trial_ids=np.arange(5), unit_ids=np.arange(4),
        external_inputs=np.zeros((5, 3, 7), np.float32),
    )  # fmt: skip
    assert sizes_of(recording.with_split(split)) == DataSizes(
        n_trials_train=3, n_trials_valid=1, n_bins=3, n_encoded_bins=2, n_units=4,
        n_encoded_units=3, n_external_inputs=7, present_share=1 - 2 / 36,
    )  # fmt: skip
    with pytest.raises(DataError, match="carries no split"):
        sizes_of(recording)


@pytest.mark.parametrize(("n_trials", "steps"), [(0, 1), (1, 1), (64, 1), (65, 2), (129, 3)])
def test_steps_per_epoch(n_trials: int, steps: int) -> None:
    assert replace(MAZE, n_trials_train=n_trials).steps_per_epoch(64) == steps
