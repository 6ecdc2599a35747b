"""What simple methods reach: the figures that a model has to beat.

All give expected counts per bin, [trial, bin, unit], for the evaluated trials.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import (
    Labels,
    Numbers,
    Truths,
    as_three_axes,
    need_shape,
)
from lfads_torch.analysis.metrics.behaviour import BehaviourScore, behaviour_r2
from lfads_torch.analysis.metrics.conditions import average_by_condition, mean_over_trials
from lfads_torch.analysis.metrics.smoothing import smooth_over_time
from lfads_torch.errors import DataError, SettingsError

__all__ = [
    "condition_mean_rates",
    "poisson_regression_rates",
    "smoothed_behaviour_r2",
    "unit_mean_rates",
]


def unit_mean_rates(train_counts: Numbers, *, n_trials: int) -> NDArray[np.float64]:
    """Each unit's mean over the training trials and bins, for every bin of `n_trials` trials."""
    train = as_three_axes("training counts", train_counts)
    present = np.isfinite(train)
    total = np.where(present, train, 0.0).sum(axis=(0, 1))
    mean = total / np.maximum(present.sum(axis=(0, 1)), 1)
    return np.broadcast_to(mean, (n_trials, *train.shape[1:])).copy()


def condition_mean_rates(
    train_counts: Numbers,
    train_condition: Labels,
    *,
    condition: Labels,
    bin_width_s: float,
    kernel_s: float = 0.04,
    all_trial_share: float = 0.1,
) -> NDArray[np.float64]:
    """The smoothed training average of each trial's condition, mixed with that of all trials.

    It knows the labels, which a model does not. The share of the all-trial average keeps bins in
    which a condition had no spike from being impossible.
    """
    if not 0 <= all_trial_share <= 1:
        raise SettingsError(f"all_trial_share is {all_trial_share}; 0 to 1 is needed.")
    train = as_three_axes("training counts", train_counts)
    raw = average_by_condition(train, train_condition)
    own = smooth_over_time(raw.averages, kernel_s, bin_width_s=bin_width_s)
    overall = smooth_over_time(mean_over_trials(train)[None], kernel_s, bin_width_s=bin_width_s)
    # A condition that never shows an entry has only the all-trial average to offer.
    own = np.where(np.isfinite(own), own, overall)
    mixed = (1 - all_trial_share) * own + all_trial_share * overall
    return np.asarray(mixed[raw.positions(condition)])


def poisson_regression_rates(
    train_counts: Numbers,
    counts: Numbers,
    *,
    is_encoded: Truths,
    bin_width_s: float,
    kernel_s: float = 0.04,
    alpha: float = 1e-2,
) -> NDArray[np.float64]:
    """Held-out units by Poisson regression on the smoothed counts of the encoded ones, [B, T, H].

    `alpha` is scikit-learn's penalty on smoothed counts scaled to unit variance in training. A unit
    that is silent in training gets 1e-9 spikes per bin. H is the number of held-out units, in file
    order.
    """
    from sklearn.linear_model import PoissonRegressor

    train, test = as_three_axes("training counts", train_counts), as_three_axes("counts", counts)
    need_shape("counts", test, (None, None, train.shape[2]))
    need_shape("is_encoded", is_encoded, (train.shape[2],))
    if is_encoded.all() or not is_encoded.any():
        raise DataError(
            f"{int(is_encoded.sum())} of {len(is_encoded)} units are encoded; co-smoothing needs "
            "encoded and held-out units. Hold units out in the split."
        )
    features = [
        np.nan_to_num(smooth_over_time(values[:, :, is_encoded], kernel_s, bin_width_s=bin_width_s))
        for values in (train, test)
    ]
    scale = features[0].std(axis=(0, 1))
    x_train, x_test = (
        (values / np.where(scale > 0, scale, 1.0)).reshape(-1, values.shape[2])
        for values in features
    )
    held_out = train[:, :, ~is_encoded].reshape(-1, int((~is_encoded).sum()))
    rates = np.full((len(x_test), held_out.shape[1]), 1e-9)
    for unit, target in enumerate(held_out.T):
        present = np.isfinite(target)
        if target[present].sum() > 0:
            regression = PoissonRegressor(alpha=alpha, max_iter=300)
            rates[:, unit] = regression.fit(x_train[present], target[present]).predict(x_test)
    return rates.reshape(*test.shape[:2], -1)


def smoothed_behaviour_r2(
    train_counts: Numbers,
    train_behaviour: Numbers,
    *,
    counts: Numbers,
    behaviour: Numbers,
    bin_width_s: float,
    kernel_s: float = 0.05,
    lag_bins: int = 0,
) -> BehaviourScore:
    """Ridge regression from smoothed counts: what decoding reaches without a model."""
    smoothed = [
        np.nan_to_num(smooth_over_time(values, kernel_s, bin_width_s=bin_width_s))
        for values in (train_counts, counts)
    ]
    return behaviour_r2(
        smoothed[0], train_behaviour, rates=smoothed[1], behaviour=behaviour, lag_bins=lag_bins
    )
