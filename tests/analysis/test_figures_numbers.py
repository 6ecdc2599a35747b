"""The numbers behind the figures: averages, components, scores, priors, best epochs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from lfads_torch.analysis.figures.aligned import condition_names
from lfads_torch.analysis.figures.averages import (
    condition_means,
    modulation,
    principal_components,
    smoothed,
)
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs
from lfads_torch.analysis.figures.inferred_inputs import prior_scale
from lfads_torch.analysis.figures.loss_curves import best_epoch, chosen_epoch, term
from lfads_torch.analysis.figures.rate_truth import r2_per_unit
from lfads_torch.analysis.figures.selection import chosen_trials


def test_components_are_those_of_scikit_learn_with_a_fixed_sign():
    values = np.random.default_rng(0).normal(size=(3, 33, 5)) @ np.diag([5.0, 3, 2, 1, 0.5])
    scores, share = principal_components(values, 3)
    expected = PCA(3).fit(values.reshape(-1, 5))
    np.testing.assert_allclose(share, expected.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(
        np.abs(scores.reshape(-1, 3)), np.abs(expected.transform(values.reshape(-1, 5))), atol=1e-10
    )
    np.testing.assert_allclose(principal_components(values, 3)[0], scores)


def test_constant_values_have_no_share_of_variance():
    scores, share = principal_components(np.ones((2, 3, 4)), 3)
    assert np.all(scores == 0)
    assert np.all(share == 0)


def test_condition_means_pass_over_what_is_missing():
    values = np.array([[[1.0], [np.nan]], [[3.0], [np.nan]], [[7.0], [8.0]]])
    means = condition_means(values, np.array(["a", "a", "b"]), ["a", "b", "c"])
    np.testing.assert_array_equal(means[0], [[2.0], [np.nan]])
    np.testing.assert_array_equal(means[1], [[7.0], [8.0]])
    assert np.isnan(means[2]).all()


def test_a_constant_stays_constant_when_smoothed():
    np.testing.assert_allclose(smoothed(np.full((1, 33, 2), 4.0), 0.01), 4.0)


def test_silent_and_missing_units_are_not_modulated():
    means = np.zeros((2, 9, 3))
    means[:, :, 1] = np.arange(9)
    means[:, :, 2] = np.nan
    assert modulation(means)[1] > 0
    np.testing.assert_array_equal(modulation(means)[[0, 2]], 0.0)


def test_r2_per_unit_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    truth, rates = rng.normal(size=(3, 7, 4)), rng.normal(size=(3, 7, 4))
    truth[:, :, 2] = 1.0
    score = r2_per_unit(truth, rates)
    assert math.isnan(score[2])
    for unit in (0, 1, 3):
        expected = r2_score(truth[:, :, unit].ravel(), rates[:, :, unit].ravel())
        assert score[unit] == pytest.approx(expected, rel=1e-12)


def test_conditions_stand_in_the_order_of_their_numbers():
    labels = np.array(["reach 10", "reach 2", "7", "reach 2", "a", "-1"])
    assert condition_names(labels) == ["7", "-1", "a", "reach 2", "reach 10"]


def test_the_best_epoch_comes_after_both_ramps_and_is_finite():
    score = [[0.1, 0.1], [0.5, 0.4], [0.3, None], [0.6, 0.35]]
    metrics = [
        {"epoch": epoch, "valid_score": row, "ramp_kl": [ramp] * 2, "ramp_l2": [1.0] * 2}
        for epoch, (row, ramp) in enumerate(zip(score, (0.5, 1.0, 1.0, 1.0), strict=True))
    ]
    assert best_epoch(metrics) == (2, 0)
    assert best_epoch(metrics[:1]) is None
    assert best_epoch(metrics, waits_for_ramps=False) == (0, 0)
    inputs = FigureInputs(metrics=metrics, settings={"training": {"best_from": "start"}})
    assert chosen_epoch(inputs) == (0, 0)
    assert chosen_epoch(replace(inputs, settings={})) == (2, 0)
    assert chosen_epoch(replace(inputs, run={"refit": {"run": "first"}})) is None
    assert np.isnan(term(metrics, "valid_score")[2, 1])
    assert np.isnan(term(metrics, "no_such_term")).all()


def inputs_with(settings: dict, **attributes: object) -> FigureInputs:
    time_s = np.arange(3) * 0.005
    rates = xr.Dataset(
        {"rates": (("trial", "time", "unit"), np.ones((6, 3, 1))),
         "trial_id": ("trial", np.arange(6)),
         "trial_set": ("trial", ["train", "valid", "test", "test", "train", "test"])},
        {"time": time_s}, attributes,
    )  # fmt: skip
    return FigureInputs(rates=rates, settings={"model": settings})


@pytest.mark.parametrize(("unit", "constant"), [("bins", 10.0), ("ms", 50.0)])
def test_the_prior_of_the_settings_is_the_stationary_one(unit, constant):
    """Var u = v / (1 - a^2) with a = exp(-1/tau); here by summing v a^(2k)."""
    settings = {"input_prior": "autoregressive", "input_prior_variance": 0.1,
                "input_prior_time_constant": constant, "time_constant_unit": unit}  # fmt: skip
    scale, word = prior_scale(inputs_with(settings, bin_width_s=0.005), 2)
    expected = math.sqrt(sum(0.1 * math.exp(-2 * k / 10) for k in range(2000)))
    np.testing.assert_allclose(scale, [expected, expected])
    assert "start" in word


def test_the_learned_prior_is_preferred_and_none_is_no_line():
    learned, word = prior_scale(inputs_with({}, input_prior_std=np.array([0.5, 0.7])), 2)
    np.testing.assert_array_equal(learned, [0.5, 0.7])
    assert word == "learned prior"
    absent, word = prior_scale(inputs_with({}), 1)
    assert np.isnan(absent).all()
    assert word is None


def test_trials_are_of_the_test_set_where_there_is_one():
    chosen = chosen_trials(inputs_with({}), FigureChoice(), 2)
    assert set(chosen) <= {2, 3, 5}
    assert len(chosen) == 2
