from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from lfads_torch.analysis.metrics.truth import fit_affine, true_latent_r2, true_rate_r2
from lfads_torch.errors import DataError


def flat(values):
    return values.reshape(-1, values.shape[2])


def test_true_rates_are_scored_per_unit_over_time():
    rng = np.random.default_rng(0)
    true_rates = rng.gamma(2.0, 5.0, size=(3, 7, 4))
    true_rates[:, :, 3] = 11.0
    rates = true_rates + rng.normal(size=true_rates.shape)
    score = true_rate_r2(rates, true_rates)
    expected = r2_score(flat(true_rates)[:, :3], flat(rates)[:, :3], multioutput="raw_values")
    np.testing.assert_allclose(score.per_column, expected)
    assert score.value == pytest.approx(expected.mean())
    assert score.n_excluded == 1


def latent_case(seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(9, 5, 4))
    latents = factors @ rng.normal(size=(4, 3)) + [5.0, -2.0, 100.0]
    return factors, latents + 0.3 * rng.normal(size=latents.shape)


def test_latents_are_read_by_the_map_of_the_training_trials():
    factors, latents = latent_case()
    latents[0, 2, 1] = np.nan
    rows = np.isfinite(flat(latents[:6])).all(axis=1)
    regression = LinearRegression().fit(flat(factors[:6])[rows], flat(latents[:6])[rows])
    expected = r2_score(
        flat(latents[6:]), regression.predict(flat(factors[6:])), multioutput="raw_values"
    )
    score = true_latent_r2(factors[:6], latents[:6], factors=factors[6:], latents=latents[6:])
    np.testing.assert_allclose(score.per_column, expected)


def test_any_invertible_mixing_of_the_factors_gives_the_same_score():
    factors, latents = latent_case()
    mixed = factors @ np.random.default_rng(1).normal(size=(4, 4)) + 3
    scores = [
        true_latent_r2(x[:6], latents[:6], factors=x[6:], latents=latents[6:]).value
        for x in (factors, mixed)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_one_training_bin_is_too_little_to_fail_on():
    factors, latents = latent_case()
    affine = fit_affine(factors[:1, :1], latents[:1, :1])
    np.testing.assert_allclose(affine.predict(factors[:1, :1]), latents[:1, :1])


def test_messages():
    factors, latents = latent_case()
    with pytest.raises(DataError, match="missing in every bin"):
        fit_affine(factors, np.full_like(latents, np.nan))
    with pytest.raises(DataError, match="true latents have shape"):
        fit_affine(factors, latents[:3])
    with pytest.raises(DataError, match="factors have shape"):
        true_latent_r2(factors, latents, factors=factors[:, :, :2], latents=latents)
