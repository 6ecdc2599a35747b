"""Every observation family of ours with parameters, data drawn from it, and scipy's own."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.choose import OBSERVATIONS, choose_observation

__all__ = ["CONTINUOUS", "FAMILIES", "SPIKING", "moments_of", "random_parameters", "scipy_nll"]

FAMILIES = tuple(OBSERVATIONS)
SPIKING = tuple(name for name in FAMILIES if choose_observation(name).is_spiking)
CONTINUOUS = tuple(name for name in FAMILIES if name not in SPIKING)


def random_parameters(family: Observation, *shape: int, seed: int = 1) -> torch.Tensor:
    """Parameters [*shape[:-1], K, shape[-1]] around small means, in double precision."""
    random = torch.Generator().manual_seed(seed)
    wide = (*shape[:-1], family.n_parameters, shape[-1])
    return torch.randn(wide, generator=random, dtype=torch.float64)


def moments_of(values: torch.Tensor) -> UnitMoments:
    """Moments of values [..., N], none missing."""
    flat = values.flatten(0, -2)
    n = torch.full((flat.shape[-1],), float(len(flat)), dtype=flat.dtype)
    return UnitMoments(
        flat.mean(0), flat.var(0, unbiased=False), n, (flat == 0).to(flat.dtype).mean(0)
    )


def scipy_nll(family: Observation, parameters: torch.Tensor, values: torch.Tensor) -> np.ndarray:
    """The negative log-likelihood with all constants, written with scipy.stats."""
    y, p = values.numpy(), np.moveaxis(parameters.numpy(), -2, 0)
    name = family.name
    if name == "poisson":
        return -stats.poisson.logpmf(y, np.exp(p[0]))
    if name == "poisson_softplus":
        return -stats.poisson.logpmf(y, np.log1p(np.exp(p[0])))
    if name == "negative_binomial":
        mean, r = np.exp(p[0]), np.exp(p[1])
        return -stats.nbinom.logpmf(y, r, r / (r + mean))
    if name == "bernoulli":
        return -stats.bernoulli.logpmf(y, 1.0 / (1.0 + np.exp(-p[0])))
    if name == "zero_inflated_poisson":
        silent = 1.0 / (1.0 + np.exp(-p[1]))
        return -np.log(silent * (y == 0) + (1.0 - silent) * stats.poisson.pmf(y, np.exp(p[0])))
    if name == "gaussian":
        return -stats.norm.logpdf(y, p[0], np.exp(0.5 * p[1]))
    if name == "gaussian_fixed_variance":
        return -stats.norm.logpdf(y, p[0], np.sqrt(family.variance))  # type: ignore[attr-defined]
    shape, mean = np.exp(p[1]), np.exp(p[0])
    if name == "gamma":
        return -stats.gamma.logpdf(y, shape, scale=mean / shape)
    assert name == "zero_inflated_gamma", f"{name} has no counterpart here yet"
    event = 1.0 / (1.0 + np.exp(-p[2]))
    of_size = stats.gamma.logpdf(y, shape, loc=family.location, scale=mean / shape)  # type: ignore[attr-defined]
    with np.errstate(invalid="ignore"):
        return np.where(y == 0, -np.log1p(-event), -np.log(event) - of_size)
