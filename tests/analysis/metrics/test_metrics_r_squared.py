from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lfads_torch.analysis.metrics.r_squared import pooled_r2
from lfads_torch.errors import DataError


def random_case(shape=(3, 5, 4), *, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=shape) + offset
    return target, target + 0.5 * rng.normal(size=shape)


def flat(values):
    return values.reshape(-1, values.shape[2])


@pytest.mark.parametrize("shape", [(1, 2, 1), (3, 1, 3), (3, 5, 4), (1, 33, 2)], ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_it_is_sklearns_r2_per_column(shape, offset):
    target, prediction = random_case(shape, offset=offset)
    score = pooled_r2(target, prediction, label="x")
    expected = r2_score(flat(target), flat(prediction), multioutput="raw_values")
    np.testing.assert_allclose(score.per_column, expected, rtol=1e-6)
    assert score.value == pytest.approx(expected.mean(), rel=1e-6)


def test_missing_entries_are_left_out_and_may_hold_anything():
    target, prediction = random_case()
    target[0, :2, 1] = np.nan
    prediction[0, :2, 1] = np.nan
    present = ~np.isnan(flat(target)[:, 1])
    expected = r2_score(flat(target)[present, 1], flat(prediction)[present, 1])
    assert pooled_r2(target, prediction, label="x").per_column[1] == pytest.approx(expected)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e5, np.nan])
def test_columns_without_variance_are_excluded_and_counted(constant):
    target, prediction = random_case()
    target[:, :, 2] = constant
    score = pooled_r2(target, prediction, label="x")
    others = pooled_r2(target[:, :, [0, 1, 3]], prediction[:, :, [0, 1, 3]], label="x")
    assert score.n_excluded == 1
    assert score.value == pytest.approx(others.value)


def test_resampling_trials_is_repeating_them():
    target, prediction = random_case()
    target[1, 2, 0] = np.nan
    weights = np.array([[1, 1, 1], [0, 2, 1], [3, 0, 0]])
    got = pooled_r2(target, prediction, label="x").resample(weights)
    for row, value in zip(weights, got, strict=True):
        chosen = np.repeat(np.arange(3), row)
        again = pooled_r2(target[chosen], prediction[chosen], label="x")
        assert value == pytest.approx(again.value)


def test_a_resampling_without_variance_is_undefined():
    target = np.array([[[1.0]], [[2.0]]])
    score = pooled_r2(target, target, label="x")
    np.testing.assert_array_equal(np.isnan(score.resample([[2, 0], [1, 1]])), [True, False])


def test_messages():
    target, prediction = random_case()
    with pytest.raises(DataError, match="none of the 4 columns"):
        pooled_r2(np.ones_like(target), prediction, label="x")
    with pytest.raises(DataError, match=r"x: predictions have shape \(3, 5, 3\)"):
        pooled_r2(target, prediction[:, :, :3], label="x")
    prediction[1, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"first at \[1, 2, 3\]"):
        pooled_r2(target, prediction, label="x")
