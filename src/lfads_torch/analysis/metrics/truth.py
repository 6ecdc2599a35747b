"""Scores against known truth, for synthetic recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import (
    Numbers,
    Truths,
    as_three_axes,
    need_finite,
    need_shape,
)
from lfads_torch.analysis.metrics.r_squared import PooledR2, pooled_r2
from lfads_torch.errors import DataError

__all__ = ["AffineMap", "fit_affine", "true_latent_r2", "true_rate_r2"]


@dataclass(frozen=True, kw_only=True)
class AffineMap:
    """`latents = factors @ weights + intercept`."""

    weights: NDArray[np.float64]  # [F, D]
    intercept: NDArray[np.float64]  # [D]

    def predict(self, factors: Numbers) -> NDArray[np.float64]:
        return np.asarray(np.asarray(factors, dtype=np.float64) @ self.weights + self.intercept)


def true_rate_r2(rates: Numbers, true_rates: Numbers) -> PooledR2:
    """R2 per unit over trials and bins, and its uniform mean; both in the same unit.

    Units whose true rate is constant have no R2 and are left out and counted.
    """
    return pooled_r2(true_rates, rates, label="true rates")


def fit_affine(factors: Numbers, latents: Numbers) -> AffineMap:
    """Least squares from factors [B, T, F] to latents [B, T, D]; minimum norm if undetermined."""
    x, y = as_three_axes("factors", factors), as_three_axes("true latents", latents)
    need_shape("true latents", y, (*x.shape[:2], None))
    present: Truths = np.asarray(np.isfinite(y).all(axis=2))
    need_finite("factors", x, np.broadcast_to(present[:, :, None], x.shape))
    if not present.any():
        raise DataError(
            "the true latents of the training trials are missing in every bin; some are needed to "
            "fit the map from factors."
        )
    x_mean, y_mean = x[present].mean(axis=0), y[present].mean(axis=0)
    weights = np.linalg.lstsq(x[present] - x_mean, y[present] - y_mean, rcond=None)[0]
    return AffineMap(weights=weights, intercept=y_mean - x_mean @ weights)


def true_latent_r2(
    train_factors: Numbers, train_latents: Numbers, *, factors: Numbers, latents: Numbers
) -> PooledR2:
    """R2 per latent dimension on the evaluated trials; the affine map is of the training trials."""
    affine = fit_affine(train_factors, train_latents)
    x = as_three_axes("factors", factors)
    need_shape("factors", x, (None, None, len(affine.weights)))
    return pooled_r2(latents, affine.predict(x), label="true latents")
