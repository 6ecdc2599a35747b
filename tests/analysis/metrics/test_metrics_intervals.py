from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike
from lfads_torch.analysis.metrics.intervals import ScorePair, compare_paired, trial_bootstrap
from lfads_torch.analysis.metrics.r_squared import pooled_r2
from lfads_torch.errors import DataError, SettingsError


@dataclass(frozen=True)
class MeanScore:
    """The simplest score: a mean over trials."""

    per_trial: np.ndarray

    @property
    def n_trials(self):
        return len(self.per_trial)

    @property
    def value(self):
        return float(self.per_trial.mean())

    def resample(self, weights):
        total = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return weights @ self.per_trial / total


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(first, second, *, ids=None, split=0, seed=0):
    ids = np.arange(len(first)) if ids is None else ids
    return ScorePair(
        split=split, seed=seed, trial_ids=ids, first=MeanScore(first), second=MeanScore(second)
    )


def test_the_standard_error_of_a_mean():
    values = rng(1).normal(size=33)
    interval = trial_bootstrap(MeanScore(values), rng(), n_samples=4000)
    assert interval.standard_error == pytest.approx(values.std() / np.sqrt(33), rel=0.05)
    half_width = (interval.high - interval.low) / 2
    assert half_width == pytest.approx(1.96 * interval.standard_error, rel=0.06)
    assert interval.value == values.mean()


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    draws, generator = rng(2).normal(size=(300, 40)), rng(3)
    intervals = [trial_bootstrap(MeanScore(d), generator, n_samples=200) for d in draws]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals])
    assert 0.89 <= covered <= 0.99


def test_the_same_generator_gives_the_same_interval():
    values = rng(1).normal(size=7)
    first, second, other = (trial_bootstrap(MeanScore(values), rng(s)) for s in (0, 0, 1))
    assert first == second != other


def test_a_pooled_ratio_is_resampled_as_a_ratio():
    counts = rng().poisson(1.0, size=(9, 5, 2)).astype(float)
    score = bits_per_spike(counts, np.full(counts.shape, 0.8))
    interval = trial_bootstrap(score, rng(5), n_samples=50)
    weights = rng(5).multinomial(9, np.full(9, 1 / 9), size=50)
    nats = score.nll_null - score.nll_model
    slow = [
        nats[np.repeat(np.arange(9), row)].sum()
        / score.spikes[np.repeat(np.arange(9), row)].sum()
        / np.log(2)
        for row in weights
    ]
    centred = np.array(slow) + interval.value - np.mean(slow)
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(centred, [0.025, 0.975]))


def test_a_score_that_every_resampling_lowers_stays_inside_its_interval():
    class NoisierWhenTrialsRepeat:
        value, n_trials = 0.57, 20

        def resample(self, weights):
            return 0.5 + 0.001 * (weights[:, 0] - 1)

    interval = trial_bootstrap(NoisierWhenTrialsRepeat(), rng())
    assert interval.low < 0.57 < interval.high


def test_an_interval_ends_where_its_score_must():
    class OftenLower:
        """As an R2 near 1 is: half of the resamplings are far below it, so all are shifted up."""

        value, n_trials, limits = 0.99, 20, (-np.inf, 1.0)

        def resample(self, weights):
            return np.where(weights[:, 0] > 0, 0.99, 0.5)

    free = OftenLower()
    free.limits = (-np.inf, np.inf)
    assert trial_bootstrap(free, rng()).high > 1
    interval = trial_bootstrap(OftenLower(), rng())
    assert interval.high == 1.0
    assert interval.low == trial_bootstrap(free, rng()).low


@pytest.mark.parametrize("seed", range(3))
def test_no_interval_of_an_r2_is_above_1(seed):
    target = rng(seed).normal(size=(3, 4, 2)) * np.array([10.0, 0.05, 8.0])[:, None, None]
    score = pooled_r2(target, target + 0.02 * rng(seed + 9).normal(size=target.shape), label="r2")
    interval = trial_bootstrap(score, rng(seed))
    assert interval.low <= score.value <= interval.high <= 1.0


def test_one_trial_gives_a_point_and_undefined_resamplings_are_counted():
    interval = trial_bootstrap(MeanScore(np.array([0.3])), rng())
    assert (interval.low, interval.high) == (pytest.approx(0.3), pytest.approx(0.3))
    assert interval.standard_error == pytest.approx(0.0, abs=1e-15)
    counts = np.zeros((2, 3, 1))
    counts[0, 0] = 1
    half = trial_bootstrap(bits_per_spike(counts, counts + 0.1), rng(), n_samples=400)
    assert 60 < half.n_undefined < 140


def test_pairing_removes_what_both_models_share():
    shared, small = 10 * rng(1).normal(size=33), 0.1 + 0.1 * rng(2).normal(size=33)
    comparison = compare_paired([pair(shared + small, shared)], rng())
    assert comparison.difference.value == pytest.approx(small.mean())
    assert comparison.difference.standard_error == pytest.approx(small.std() / 33**0.5, rel=0.15)
    assert comparison.verdict == "first is higher"
    assert compare_paired([pair(shared, shared + small)], rng()).verdict == "second is higher"


def test_a_tie_is_reported_as_a_tie():
    noise = rng(1).normal(size=(2, 33))
    assert compare_paired([pair(noise[0], noise[1])], rng()).verdict == "tie"
    same = compare_paired([pair(noise[0], noise[0])], rng())
    assert (same.difference.low, same.difference.high, same.verdict) == (0.0, 0.0, "tie")


def test_seeds_and_splits_are_averaged_each_with_its_own_spread():
    values = {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0}
    pairs = [
        pair(np.full(3, v), np.zeros(3), split=split, seed=seed)
        for (split, seed), v in values.items()
    ]
    comparison = compare_paired(pairs, rng())
    assert comparison.difference.value == pytest.approx((2.0 + 5.0) / 2)
    np.testing.assert_allclose(comparison.differences, [1, 3, 5])
    assert (comparison.n_seeds, comparison.n_splits) == (2, 2)
    assert comparison.seed_spread == pytest.approx(np.sqrt(2))
    assert comparison.split_spread == pytest.approx(np.std([2, 5], ddof=1))
    assert not comparison.is_replicated


def test_trials_shared_between_splits_are_not_independent():
    values, ids = rng(1).normal(size=33), np.arange(33)
    once = compare_paired([pair(values, 0 * values)], rng())
    shared = [pair(values, 0 * values, ids=ids, split=s) for s in range(3)]
    apart = [pair(values, 0 * values, ids=ids + 33 * s, split=s) for s in range(3)]
    together = compare_paired(shared, rng())
    assert together.difference.low == pytest.approx(once.difference.low)
    independent = compare_paired(apart, rng()).difference.standard_error
    assert independent == pytest.approx(once.difference.standard_error / 3**0.5, rel=0.15)


def test_text_ids_in_any_order_pair_up():
    values = rng(1).normal(size=5)
    ids = np.array(["t4", "t0", "t3", "t1", "t2"])
    forward = compare_paired([pair(values, 0 * values, ids=ids)], rng())
    both = [
        pair(values, 0 * values, ids=ids, seed=0),
        pair(values[::-1].copy(), 0 * values, ids=ids[::-1], seed=1),
    ]
    assert compare_paired(both, rng()).difference.low == pytest.approx(forward.difference.low)


def test_messages():
    values = np.ones(3)
    with pytest.raises(DataError, match="no pair of scores"):
        compare_paired([], rng())
    with pytest.raises(DataError, match=r"3 trial ids .* for scores of 3 and 2 trials"):
        compare_paired([pair(values, values[:2])], rng())
    with pytest.raises(DataError, match="2 different"):
        compare_paired([pair(values, values, ids=np.array([0, 1, 1]))], rng())
    with pytest.raises(DataError, match="same split and seed"):
        compare_paired([pair(values, values), pair(values, values)], rng())
    with pytest.raises(SettingsError, match="with 0 resamplings"):
        trial_bootstrap(MeanScore(values), rng(), n_samples=0)
    with pytest.raises(DataError, match="level 95"):
        trial_bootstrap(MeanScore(values), rng(), level=95)
