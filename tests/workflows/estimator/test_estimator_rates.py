"""Fitted, the estimator gives rates, every other signal, and a score, for counts of every form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from sklearn.base import clone
from tiny_estimator import TINY, WIDTH, counts, tiny

from lfads_torch import LFADS
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.splitting import split_by_ids
from lfads_torch.errors import DataError
from lfads_torch.outputs.run_folder import RunFolder


def test_fit_returns_itself_and_sets_attributes(X: Any) -> None:
    estimator = tiny(bin_width_s=WIDTH)
    before = estimator.get_params()
    assert estimator.fit(X, "ignored") is estimator
    assert estimator.get_params() == before
    assert estimator.n_features_in_ == 5
    assert estimator.bin_width_s_ == WIDTH
    assert estimator.settings_["model.n_factors"] == 2
    assert estimator.settings_["run.preset"] == "small"
    assert any("preset small" in text for text in estimator.messages_)


def test_rates_are_per_second_with_the_axes_of_the_counts(fitted: LFADS, X: Any) -> None:
    rates = fitted.transform(X)
    assert rates.shape == X.shape
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    # The model knows bins, not seconds: the same counts in bins twice as wide are half the rate.
    wide = tiny(n_seeds=2, bin_width_s=2 * WIDTH).fit_transform(X)
    np.testing.assert_allclose(2 * wide, rates, rtol=1e-6)


def test_rates_of_trained_models_stand_near_the_mean_of_each_unit(trained: LFADS, X: Any) -> None:
    means = trained.transform(X).mean((0, 1))
    np.testing.assert_allclose(means, X.mean((0, 1)) / WIDTH, rtol=0.3)


def test_fit_transform_is_fit_then_transform(X: Any) -> None:
    both = tiny(n_seeds=2, bin_width_s=WIDTH).fit_transform(X)
    np.testing.assert_array_equal(both, tiny(n_seeds=2, bin_width_s=WIDTH).fit(X).transform(X))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(X: Any) -> None:
    estimator = tiny(bin_width_s=WIDTH)
    first = estimator.fit(X).transform(X)
    np.testing.assert_array_equal(estimator.fit(X).transform(X), first)
    np.testing.assert_array_equal(clone(estimator).fit(X).transform(X), first)
    assert not np.array_equal(tiny(seed=1, bin_width_s=WIDTH).fit(X).transform(X), first)


def test_inputs_stay_as_they_were() -> None:
    X = counts().astype(np.float64)
    X[2, 3, 1] = np.nan
    before = X.copy()
    settings = dict(TINY)
    estimator = LFADS(settings=settings).fit(X, bin_width_s=WIDTH)
    estimator.transform(X)
    estimator.infer(X)
    estimator.score(X)
    np.testing.assert_array_equal(X, before)
    assert settings == TINY


def test_the_number_of_threads_of_the_process_stays(X: Any) -> None:
    before = torch.get_num_threads()
    estimator = tiny(threads=before + 1, bin_width_s=WIDTH).fit(X)
    estimator.transform(X)
    assert torch.get_num_threads() == before
    assert RunFolder(estimator.run_folder_).read_record().threads == before + 1


@pytest.mark.parametrize(
    "given",
    [
        lambda X: X.tolist(),
        lambda X: torch.as_tensor(X),
        lambda X: X.astype(np.float32),
        lambda X: xarray.DataArray(X.transpose(2, 0, 1), dims=("unit", "trial", "time")),
        lambda X: recording_from_arrays(X, bin_width_s=WIDTH),
    ],
    ids=["lists", "torch", "float32", "xarray, turned", "recording"],
)
def test_every_way_of_giving_counts_gives_the_same_rates(fitted: LFADS, X: Any, given: Any) -> None:
    np.testing.assert_array_equal(fitted.transform(given(X)), fitted.transform(X))


def test_units_come_back_in_the_order_they_were_given() -> None:
    X = counts(n_units=4)
    labelled = xarray.DataArray(
        X, dims=("trial", "time", "unit"), coords={"unit": ["d", "b", "a", "c"]}
    )
    settings = {"split.held_out_fraction": 0.25}
    estimator = tiny(settings).fit(labelled, bin_width_s=WIDTH)
    turned = labelled.isel(unit=[2, 0, 3, 1])
    np.testing.assert_array_equal(
        estimator.transform(turned), estimator.transform(labelled)[:, :, [2, 0, 3, 1]]
    )
    inferred = estimator.infer(turned)
    assert inferred["unit_id"].values.tolist() == ["a", "d", "c", "b"]
    np.testing.assert_array_equal(inferred["rates"], estimator.transform(turned))
    straight = estimator.infer(labelled)
    held_out = straight["unit_id"].values[straight["is_encoded"].values == 0]
    assert len(held_out) == 1
    assert inferred["unit_id"].values[inferred["is_encoded"].values == 0] == held_out


def test_members_are_a_leading_axis_of_which_the_best_is_one(fitted: LFADS, X: Any) -> None:
    rates = fitted.transform(X, members="all")
    assert rates.shape == (2, *X.shape)
    assert not np.array_equal(rates[0], rates[1])
    best = fitted.infer(X).attrs["member"]
    np.testing.assert_array_equal(rates[best], fitted.transform(X))
    inferred = fitted.infer(X, members="all")
    assert inferred["rates"].dims == ("member", "trial", "time", "unit")
    assert inferred["member"].values.tolist() == [0, 1]
    assert inferred["trial_id"].dims == ("trial",)
    np.testing.assert_array_equal(inferred["rates"], rates)


def test_rates_begin_after_the_bins_of_the_initial_condition(X: Any) -> None:
    estimator = tiny({"model.ic_bins": 2}).fit(X, bin_width_s=WIDTH)
    assert estimator.transform(X).shape == (11, 5, 5)
    np.testing.assert_allclose(estimator.infer(X)["time"], WIDTH * (np.arange(2, 7) + 0.5))
    assert np.isfinite(estimator.score(X))


def test_words_divide_the_trials(X: Any) -> None:
    words = np.array(["train"] * 6 + ["valid"] * 2 + ["test"] * 2 + ["unused"])
    estimator = tiny().fit(X, bin_width_s=WIDTH, split=words, condition=list("ab" * 5 + "a"))
    inferred = estimator.infer(X)
    assert inferred["trial_set"].values.tolist() == words.tolist()
    assert inferred["condition"].values.tolist() == list("ab" * 5 + "a")


def test_a_split_of_ours_holds_out_units_and_bins(X: Any) -> None:
    recording = recording_from_arrays(X, bin_width_s=WIDTH)
    split = split_by_ids(recording, valid=[1, 4], held_out_units=[3], n_forward_bins=2)
    estimator = tiny().fit(recording, split=split)
    inferred = estimator.infer(X)
    assert inferred["is_encoded"].values.tolist() == [1, 1, 1, 0, 1]
    assert inferred["is_encoded_bin"].values.tolist() == [1] * 5 + [0] * 2
    assert np.flatnonzero(inferred["trial_set"].values == "valid").tolist() == [1, 4]
    assert estimator.transform(X).shape == X.shape


def test_other_counts_are_marked_new(fitted: LFADS, X: Any) -> None:
    assert set(fitted.infer(X)["trial_set"].values) == {"train", "valid"}
    assert set(fitted.infer(X[:4])["trial_set"].values) == {"new"}
    changed = X.copy()
    changed[0, 0, 0] += 1
    assert set(fitted.infer(changed)["trial_set"].values) == {"new"}


def test_external_inputs_are_needed_wherever_they_were_fitted(X: Any) -> None:
    inputs = np.random.default_rng(1).normal(size=(11, 7, 2))
    estimator = tiny()
    rates = estimator.fit_transform(X, bin_width_s=WIDTH, external_inputs=inputs)
    np.testing.assert_array_equal(estimator.transform(X, external_inputs=inputs), rates)
    assert not np.array_equal(estimator.transform(X, external_inputs=inputs + 1), rates)
    assert estimator.infer(X, external_inputs=inputs)["rates"].shape == X.shape
    assert np.isfinite(estimator.score(X, external_inputs=inputs))
    with pytest.raises(DataError, match="0 external inputs; the model needs 2"):
        estimator.transform(X)


def test_infer_names_every_signal_and_keeps_the_users_ids() -> None:
    recording = replace(
        recording_from_arrays(
            counts(n_trials=6),
            bin_width_s=WIDTH,
            trial_ids=[9, 3, 5, 1, 7, 2],
            unit_ids=["u5", "u1", "u2", "u4", "u3"],
        ),
        start_s=-0.05,
        session="monday",
    )
    inferred = tiny().fit(recording).infer(recording)
    assert inferred["rates"].dims == ("trial", "time", "unit")
    assert inferred["rates"].attrs["units"] == "spikes/s"
    assert inferred["factors"].dims == ("trial", "time", "factor")
    assert inferred["inferred_input_mean"].dims == ("trial", "time", "inferred_input")
    assert inferred["initial_condition_mean"].sizes["initial_condition_dimension"] == 3
    assert inferred["generator_initial_state"].sizes["generator_unit"] == 5
    assert inferred["trial_id"].values.tolist() == [9, 3, 5, 1, 7, 2]
    assert inferred["unit_id"].values.tolist() == ["u5", "u1", "u2", "u4", "u3"]
    np.testing.assert_allclose(inferred["time"][0], -0.045)
    assert inferred.attrs["session"] == "monday"


def test_the_score_falls_when_the_rates_no_longer_fit_the_counts(fitted: LFADS, X: Any) -> None:
    assert fitted.score(X) == fitted.score(X)
    # Units in the wrong order: rates of the quiet ones for the busy ones.
    assert fitted.score(X[:, :, ::-1].copy()) < fitted.score(X) - 0.1


def test_the_score_rewards_no_copy_of_the_input(trained: LFADS) -> None:
    """Independent noise cannot be predicted from other entries, however long the training."""
    assert -0.5 < trained.score(counts(seed=5)) < 0.02


def test_the_score_is_that_of_evaluate(trained: LFADS) -> None:
    from lfads_torch.workflows.evaluate import Protocol, evaluate_run

    others = counts(seed=6)
    recording = recording_from_arrays(others, bin_width_s=WIDTH)
    run = RunFolder(trained.run_folder_)
    evaluation = evaluate_run(
        run, which_set="all", recording=recording, protocol=Protocol(n_bootstrap=0)
    )
    assert trained.score(others) == evaluation.score("masked_bits_per_spike").value


def test_counts_without_a_spike_have_no_score(trained: LFADS, X: Any) -> None:
    with pytest.raises(DataError, match=r"cannot be scored: .*hold no spike"):
        trained.score(X * 0)


def test_the_score_of_continuous_values_is_an_r2() -> None:
    time = np.linspace(0, 2 * np.pi, 9)
    phase = np.random.default_rng(2).uniform(0, 6, size=(30, 1, 1))
    X = np.sin(time[:, None] + phase + np.arange(4)) + 0.1
    slow = tiny({"loss.observation": "gaussian"}).fit(X, bin_width_s=WIDTH)
    assert slow.infer(X)["rates"].attrs["units"] == "as in counts"
    assert -2.0 < slow.score(X) < 1.0
