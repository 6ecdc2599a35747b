from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit

from lfads_torch.analysis.metrics.behaviour import (
    behaviour_r2,
    condition_mean_r2,
    fit_ridge,
    lag_in_bins,
    residual_r2,
    shift_behaviour,
)
from lfads_torch.errors import DataError, SettingsError


def random_case(n_trials=7, n_bins=9, n_units=5, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    rates = 0.1 * rng.gamma(2.0, 1.0, size=(n_trials, n_bins, n_units))
    weights = rng.normal(size=(n_units, 2))
    behaviour = 100 + 30 * (rates @ weights + noise * rng.normal(size=(n_trials, n_bins, 2)))
    return rates, behaviour


def flat(values):
    return values.reshape(-1, values.shape[2])


@pytest.mark.parametrize(("n_trials", "n_folds"), [(2, 5), (3, 2), (7, 5), (11, 3)])
def test_it_is_sklearns_ridge_and_grid_search_over_whole_trials(n_trials, n_folds):
    rates, behaviour = random_case(n_trials)
    fold = np.arange(n_trials) % min(n_folds, n_trials)
    search = GridSearchCV(
        Ridge(), {"alpha": np.logspace(-4, 0, 9)}, cv=PredefinedSplit(np.repeat(fold, 9))
    ).fit(flat(rates), flat(behaviour))
    decoder = fit_ridge(rates, behaviour, n_folds=n_folds)
    np.testing.assert_allclose(
        decoder.cross_validated_r2, search.cv_results_["mean_test_score"], rtol=1e-8
    )
    assert decoder.alpha == search.best_params_["alpha"]
    expected = search.predict(flat(rates)).reshape(behaviour.shape)
    np.testing.assert_allclose(decoder.predict(rates), expected, rtol=1e-8)


def test_noise_asks_for_a_stronger_penalty():
    weak = fit_ridge(*random_case(noise=0.0)).alpha
    strong = fit_ridge(*random_case(n_trials=3, n_units=20, noise=3.0)).alpha
    assert weak < strong


def test_it_is_fitted_on_training_trials_and_scored_on_the_others():
    rates, behaviour = random_case(9)
    score = behaviour_r2(rates[:6], behaviour[:6], rates=rates[6:], behaviour=behaviour[6:])
    decoded = fit_ridge(rates[:6], behaviour[:6]).predict(rates[6:])
    assert score.value == pytest.approx(r2_score(flat(behaviour[6:]), flat(decoded)))
    assert score.n_trials == 3
    assert score.resample(np.ones((1, 3)))[0] == pytest.approx(score.value)


def test_missing_behaviour_is_left_out():
    rates, behaviour = random_case(9)
    holed = behaviour.copy()
    holed[0] = np.nan
    holed[1, 3, 0] = np.nan
    rates[0] = np.nan
    decoder = fit_ridge(rates, holed, n_folds=2)
    assert np.isfinite(decoder.weights).all()
    fold = np.delete(np.repeat(np.arange(8) % 2, 9), 3)
    rows = np.isfinite(flat(holed)).all(axis=1)
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(-4, 0, 9)}, cv=PredefinedSplit(fold))
    search.fit(flat(rates)[rows], flat(holed)[rows])
    np.testing.assert_allclose(decoder.weights, search.best_estimator_.coef_.T, rtol=1e-6)


@pytest.mark.parametrize("lag", [-3, 0, 2])
def test_a_lag_pairs_rates_with_later_behaviour(lag):
    rates, behaviour = random_case(9, noise=0.0)
    later = np.full_like(behaviour, 7.0)
    for time in range(9):
        if 0 <= time + lag < 9:
            later[:, time + lag] = behaviour[:, time]
    score = behaviour_r2(rates[:6], later[:6], rates=rates[6:], behaviour=later[6:], lag_bins=lag)
    assert score.value > 0.99
    assert np.isfinite(score.target[0, :, 0]).sum() == 9 - abs(lag)


def test_lags_are_whole_bins():
    assert lag_in_bins(100, bin_width_s=0.005) == 20
    assert lag_in_bins(-15, bin_width_s=0.005) == -3
    with pytest.raises(SettingsError, match=r"multiple of the bin width is needed, e\.g\. 10"):
        lag_in_bins(12, bin_width_s=0.01)
    with pytest.raises(SettingsError, match="no bin is left"):
        shift_behaviour(np.ones((1, 3, 1)), 3)


def test_the_condition_mean_is_that_of_training():
    _, behaviour = random_case(9)
    condition = np.array([0, 1, 2] * 3)
    score = condition_mean_r2(
        behaviour[:6], condition[:6], behaviour=behaviour[6:], condition=condition[6:]
    )
    predicted = np.stack([(behaviour[c] + behaviour[c + 3]) / 2 for c in condition[6:]])
    assert score.value == pytest.approx(r2_score(flat(behaviour[6:]), flat(predicted)))
    with pytest.raises(DataError, match="condition 2 has no trial"):
        condition_mean_r2(
            behaviour[:2], condition[:2], behaviour=behaviour[6:], condition=condition[6:]
        )


def test_the_residual_knows_nothing_of_the_condition():
    _, behaviour = random_case(6)
    rng = np.random.default_rng(3)
    condition = np.array(["a", "a", "b", "b", "b", "lone"])
    decoded = behaviour + rng.normal(size=behaviour.shape)
    score = residual_r2(behaviour, decoded, condition)
    targets, predictions = [], []
    for label in ("a", "b"):
        members = condition == label
        for values, kept in ((behaviour, targets), (decoded, predictions)):
            kept.append(values[members] - values[members].mean(axis=0))
    expected = r2_score(flat(np.concatenate(targets)), flat(np.concatenate(predictions)))
    assert score.value == pytest.approx(expected)
    moved = decoded + 100 * rng.normal(size=(1, 9, 2)) * (condition == "a")[:, None, None]
    assert residual_r2(behaviour, moved, condition).value == pytest.approx(score.value)


def test_a_decoder_of_the_condition_alone_explains_nothing_within():
    _, behaviour = random_case(6)
    condition = np.array([0, 0, 0, 1, 1, 1])
    constant = np.stack([behaviour[condition == c].mean(axis=0) for c in condition])
    assert residual_r2(behaviour, constant, condition).value == pytest.approx(0.0, abs=1e-12)


def test_messages():
    rates, behaviour = random_case(3)
    with pytest.raises(DataError, match="1 trials with behaviour"):
        fit_ridge(rates[:1], behaviour[:1])
    with pytest.raises(DataError, match=r"behaviour have shape \(2, 9, 2\)"):
        fit_ridge(rates, behaviour[:2])
    with pytest.raises(DataError, match="two evaluated trials"):
        residual_r2(behaviour, behaviour, np.arange(3))
    with pytest.raises(DataError, match="rates have shape"):
        behaviour_r2(rates, behaviour, rates=rates[:, :, :2], behaviour=behaviour)
