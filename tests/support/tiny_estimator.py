"""An estimator that is fitted within a second, and counts for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lfads_torch import LFADS

__all__ = ["CHECKS_WITHOUT_TABLE", "SIZES", "TINY", "WIDTH", "counts", "tiny"]

WIDTH = 0.01
SIZES: dict[str, Any] = {
    "model.ic_encoder_size": 3,
    "model.controller_encoder_size": 3,
    "model.controller_size": 2,
    "model.generator_size": 5,
    "model.n_factors": 2,
    "model.n_inferred_inputs": 1,
    "model.initial_condition_size": 3,
    "inference.n_samples": 3,
}
TINY: dict[str, Any] = SIZES | {
    "loss.kl_ramp_increase": 0,
    "loss.l2_ramp_increase": 0,
    "training.epochs": 2,
}
# Of scikit-learn's own checks those that give an estimator no table of two axes.
CHECKS_WITHOUT_TABLE = (
    "check_parameters_default_constructible",
    "check_no_attributes_set_in_init",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_repr",
    "check_estimator_cloneable",
)


def tiny(settings: dict[str, Any] | None = None, **parameters: Any) -> LFADS:
    return LFADS(settings=TINY | (settings or {}), **parameters)


def counts(n_trials: int = 11, n_bins: int = 7, n_units: int = 5, seed: int = 0) -> Any:
    # Units differ in rate, so that a wrong order of units shows.
    rate = np.linspace(0.3, 3.0, n_units)
    return np.random.default_rng(seed).poisson(rate, size=(n_trials, n_bins, n_units))
