"""How well behaviour can be read from rates, and how much of that is the condition alone.

Ridge regression as the Neural Latents Benchmark does it: no standardisation, an unpenalised
intercept, the penalty chosen by cross-validation, here over whole trials. The scale of the rates
therefore matters: they are counts per bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import (
    Labels,
    Numbers,
    Truths,
    as_three_axes,
    need_finite,
    need_shape,
)
from lfads_torch.analysis.metrics.conditions import average_by_condition
from lfads_torch.analysis.metrics.r_squared import RELATIVE_ROUNDING, PooledR2, pooled_r2
from lfads_torch.errors import DataError, SettingsError

__all__ = [
    "BehaviourScore",
    "RidgeDecoder",
    "behaviour_r2",
    "condition_mean_r2",
    "fit_ridge",
    "lag_in_bins",
    "residual_r2",
    "shift_behaviour",
]

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class RidgeDecoder:
    """A linear map from rates to behaviour."""

    weights: NDArray[np.float64]  # [N, D]
    intercept: NDArray[np.float64]  # [D]
    alpha: float
    alphas: NDArray[np.float64]  # [A]
    cross_validated_r2: NDArray[np.float64]  # [A], mean over folds

    def predict(self, rates: Numbers) -> NDArray[np.float64]:
        """Behaviour [trial, bin, dimension]."""
        return np.asarray(np.asarray(rates, dtype=np.float64) @ self.weights + self.intercept)


def fit_ridge(
    rates: Numbers,
    behaviour: Numbers,
    *,
    n_folds: int = 5,
    alphas: NDArray[np.float64] | None = None,
) -> RidgeDecoder:
    """Fit `|y - x w - b|^2 + alpha |w|^2`; alpha has the best mean R2 on the folds left out.

    Trial i belongs to fold i modulo `n_folds` (round robin, as scikit-learn's GroupKFold deals out
    equal groups), so no trial is on both sides; with fewer trials than folds each is a fold. A bin
    counts where all its behaviour is present. One trial alone cannot be cross-validated and is an
    error.
    """
    x, y = as_three_axes("rates", rates), as_three_axes("behaviour", behaviour)
    need_shape("behaviour", y, (*x.shape[:2], None))
    penalties = np.logspace(-4, 0, 9) if alphas is None else alphas
    present: Truths = np.asarray(np.isfinite(y).all(axis=2))
    need_finite("rates", x, np.broadcast_to(present[:, :, None], x.shape))
    trials = np.flatnonzero(present.any(axis=1))
    if len(trials) < 2 or n_folds < 2 or not (np.asarray(penalties) > 0).all():
        raise DataError(
            f"ridge regression got {len(trials)} trials with behaviour, {n_folds} folds and "
            f"penalties {penalties}; at least 2 trials, 2 folds and penalties above 0 are needed."
        )
    fold = np.arange(len(trials)) % min(n_folds, len(trials))
    samples = [(x[trials[fold == k]], y[trials[fold == k]]) for k in range(fold.max() + 1)]
    flat = [_present_rows(*sample) for sample in samples]
    scores = np.mean([_fold_r2(flat, k, penalties) for k in range(len(flat))], axis=0)
    alpha = float(penalties[int(np.argmax(scores))])
    weights, intercept = _solve(flat, np.array([alpha]))
    return RidgeDecoder(
        weights=weights[0],
        intercept=intercept[0],
        alpha=alpha,
        alphas=np.asarray(penalties),
        cross_validated_r2=scores,
    )


def _present_rows(x: NDArray[np.float64], y: NDArray[np.float64]) -> Rows:
    present = np.isfinite(y).all(axis=2)
    return x[present], y[present]


def _solve(rows: list[Rows], alphas: NDArray[np.float64]) -> Rows:
    """Ridge weights [A, N, D] and intercepts [A, D] for every penalty from one decomposition."""
    x, y = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    values, vectors = np.linalg.eigh((x - x_mean).T @ (x - x_mean))
    projected = vectors.T @ ((x - x_mean).T @ (y - y_mean))
    shrunk = projected / (np.maximum(values, 0)[None, :, None] + alphas[:, None, None])
    weights = np.einsum("nk,akd->and", vectors, shrunk)
    return weights, y_mean - np.einsum("n,and->ad", x_mean, weights)


def _fold_r2(rows: list[Rows], left_out: int, alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Uniform mean R2 over dimensions on the fold left out, for every penalty, [A]."""
    weights, intercept = _solve([part for k, part in enumerate(rows) if k != left_out], alphas)
    x, y = rows[left_out]
    error = np.array(
        [((y - x @ w - b) ** 2).sum(axis=0) for w, b in zip(weights, intercept, strict=True)]
    )
    variance = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    varies = variance > RELATIVE_ROUNDING * (y**2).sum(axis=0)
    if not varies.any():
        return np.zeros(len(alphas))
    return np.asarray((1 - error[:, varies] / variance[varies]).mean(axis=1))


def lag_in_bins(lag_ms: float, *, bin_width_s: float) -> int:
    """The lag as a whole number of bins; anything else is an error rather than rounded."""
    bins = lag_ms / 1000 / bin_width_s
    if abs(bins - round(bins)) > 1e-6:
        raise SettingsError(
            f"lag_ms is {lag_ms:g}, which is {bins:.3f} bins of {1000 * bin_width_s:g} ms; a "
            f"multiple of the bin width is needed, e.g. {round(bins) * 1000 * bin_width_s:g}."
        )
    return round(bins)


def shift_behaviour(behaviour: Numbers, lag_bins: int) -> NDArray[np.float64]:
    """Behaviour `lag_bins` later, at the bin of the rates that predict it; NaN where none is left.

    A positive lag pairs rates with behaviour that follows them.
    """
    y = as_three_axes("behaviour", behaviour)
    if abs(lag_bins) >= y.shape[1]:
        raise SettingsError(
            f"the lag is {lag_bins} bins and trials have {y.shape[1]}: no bin is left. A shorter "
            "lag is needed."
        )
    shifted = np.full_like(y, np.nan)
    if lag_bins >= 0:
        shifted[:, : y.shape[1] - lag_bins] = y[:, lag_bins:]
    else:
        shifted[:, -lag_bins:] = y[:, :lag_bins]
    return shifted


@dataclass(frozen=True, kw_only=True)
class BehaviourScore:
    """R2 per dimension on the evaluated trials, with the decoder and what it decoded."""

    limits: ClassVar[tuple[float, float]] = (-np.inf, 1.0)

    r2: PooledR2
    decoder: RidgeDecoder
    decoded: NDArray[np.float64]  # [B, T, D], of the evaluated trials
    target: NDArray[np.float64]  # [B, T, D], behaviour after the lag, NaN where there is none
    lag_bins: int

    @property
    def n_trials(self) -> int:
        return self.r2.n_trials

    @property
    def value(self) -> float:
        return self.r2.value

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """As `PooledR2.resample`: the decoder stays, evaluated trials are resampled."""
        return self.r2.resample(weights)


def behaviour_r2(
    train_rates: Numbers,
    train_behaviour: Numbers,
    *,
    rates: Numbers,
    behaviour: Numbers,
    lag_bins: int = 0,
    n_folds: int = 5,
) -> BehaviourScore:
    """Fit on the training trials, score on the evaluated ones; the mean over dimensions is `value`.

    Rates [B, T, N] are expected counts per bin of the same units in both sets; behaviour
    [B, T, D] may be NaN where missing.
    """
    decoder = fit_ridge(train_rates, shift_behaviour(train_behaviour, lag_bins), n_folds=n_folds)
    x = as_three_axes("rates", rates)
    need_shape("rates", x, (None, None, len(decoder.weights)))
    decoded, target = decoder.predict(x), shift_behaviour(behaviour, lag_bins)
    score = pooled_r2(target, decoded, label="behaviour")
    return BehaviourScore(
        r2=score, decoder=decoder, decoded=decoded, target=target, lag_bins=lag_bins
    )


def condition_mean_r2(
    train_behaviour: Numbers, train_condition: Labels, *, behaviour: Numbers, condition: Labels
) -> PooledR2:
    """R2 of the training trials' mean behaviour per condition: what the labels alone give."""
    means = average_by_condition(train_behaviour, train_condition)
    y = as_three_axes("behaviour", behaviour)
    need_shape("conditions", condition, (len(y),))
    predicted = means.of_trials(condition)
    known = np.where(np.isfinite(predicted), y, np.nan)
    return pooled_r2(known, predicted, label="behaviour, condition mean")


def residual_r2(target: Numbers, decoded: Numbers, condition: Labels) -> PooledR2:
    """R2 within conditions: of behaviour minus its condition's mean, decoded likewise.

    Both means are over these very trials, at each bin, so that nothing of the condition is left on
    either side. Conditions of a single trial have no residual and are left out.
    """
    y, p = as_three_axes("behaviour", target), as_three_axes("decoded behaviour", decoded)
    need_shape("decoded behaviour", p, y.shape)
    need_shape("conditions", condition, (len(y),))
    labels, position, n_trials = np.unique(condition, return_inverse=True, return_counts=True)
    several = n_trials[position] > 1
    if not several.any():
        raise DataError(
            f"none of the {len(labels)} conditions has two evaluated trials, so nothing varies "
            "within conditions. Evaluate more trials per condition."
        )
    p = np.where(np.isfinite(y), p, np.nan)
    residuals = [
        values - average_by_condition(values, condition).of_trials(condition) for values in (y, p)
    ]
    return pooled_r2(
        np.where(several[:, None, None], residuals[0], np.nan),
        residuals[1],
        label="behaviour, within conditions",
    )
