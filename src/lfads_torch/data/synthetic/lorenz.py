"""Spikes of units that see a Lorenz attractor.

The system of Sussillo et al. 2016 (arXiv:1608.06315, pp. 8-9), by the authors' published generator.
Axes: `C` condition, `B` trial, `S` simulation step of 1 ms, `L` bin, `N` unit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.trial_sets import (
    smallest_type,
    steps_per_bin,
    trial_set_by_condition,
    whole_split,
)
from lfads_torch.declare import setting
from lfads_torch.errors import SettingsError

__all__ = ["LorenzSettings", "lorenz_recording", "lorenz_trajectories"]

STEP_S = 0.001  # one simulation step stands for one millisecond
SIGMA, RHO, BETA = 10.0, 28.0, 8.0 / 3.0


@dataclass(frozen=True, kw_only=True)
class LorenzSettings:
    """Defaults: the paper's sizes, one normalisation for all conditions, Poisson counts."""

    n_conditions: int = setting(65, "initial states", at_least=1)
    n_trials_per_condition: int = setting(20, "trials of each condition", at_least=1)
    n_valid_per_condition: int = setting(4, "of these, for validation", at_least=0)
    n_test_per_condition: int = setting(0, "of these, for test", at_least=0)
    n_units: int = setting(30, "units", at_least=1)
    n_steps: int = setting(1000, "length of a trial", unit="ms", at_least=1)
    n_burn_in_steps: int = setting(500, "steps run before the trial starts", at_least=0)
    bin_width_s: float = setting(0.002, "bin width, whole milliseconds", unit="s", above=0.0)
    euler_step: float = setting(0.006, "time of the attractor per millisecond", above=0.0)
    base_rate_hz: float = setting(
        5.0, "rate at the centre of the attractor", unit="spikes/s", above=0.0
    )
    weight_scale: float = setting(1.0, "multiplies the weights of units onto latents", at_least=0.0)
    centring: Literal["global", "condition"] = setting(
        "global",
        "mean and scale of the latents: over all conditions, or of each condition alone (as the "
        "2016 recipe does, which moves and stretches the attractor from condition to condition)",
    )
    scaling: Literal["absolute_maximum", "maximum"] = setting(
        "absolute_maximum",
        "what the centred latents are divided by. The authors' code has the signed maximum; per "
        "condition that blows up where a trial hardly leaves the lower lobe (rates over 1e5 "
        "spikes/s), and only the absolute one gives the recipe's mean and peak rate",
    )
    spikes: Literal["poisson", "binary"] = setting(
        "poisson", "per millisecond: a Poisson count, or whether it is over 0 (2016 recipe)"
    )


def lorenz_recording(settings: LorenzSettings, rng: np.random.Generator) -> Recording:
    """Trials of Poisson units whose log rates are linear in the three latents.

    `rate = exp(clip(W x + b, -20, 20))` per ms, `W = scale * (U(0,1) + 1) * sign(N(0,1))`, each
    column sorted over units, `b = log(base_rate / 1000)`. Trials of a condition share its initial
    state, and so do training and validation trials.

    `true_rates` is that underlying rate (spikes/s, mean over the bin). With `spikes="binary"` the
    expected count per ms is `1 - exp(-rate)` instead, lower where the rate is high: 540 spikes/s
    come out as 417. `true_latents` are the normalised latents (mean over the bin).
    """
    n_steps_per_bin = steps_per_bin(settings.bin_width_s, STEP_S, settings.n_steps)
    latents = normalised(lorenz_trajectories(settings, rng), settings)
    weights = (rng.random((settings.n_units, 3)) + 1.0) * np.sign(
        rng.standard_normal((settings.n_units, 3))
    )
    weights = settings.weight_scale * np.sort(weights, axis=0)
    bias = np.log(settings.base_rate_hz * STEP_S)
    rates = np.exp(np.clip(latents @ weights.T + bias, -20.0, 20.0))  # [C, S, N], per ms
    condition = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    counts = np.concatenate(
        [_spikes(rate, settings, n_steps_per_bin, rng) for rate in rates]  # a condition at a time
    )
    binned_rates = _bin_means(rates, n_steps_per_bin) / STEP_S
    trial_set = trial_set_by_condition(
        condition, settings.n_valid_per_condition, settings.n_test_per_condition
    )
    return Recording(
        counts=counts,
        bin_width_s=settings.bin_width_s,
        trial_ids=np.arange(len(condition)),
        unit_ids=np.arange(settings.n_units),
        session="lorenz",
        condition=condition,
        true_rates=binned_rates.astype(np.float32)[condition],
        true_latents=_bin_means(latents, n_steps_per_bin).astype(np.float32)[condition],
        split=whole_split(trial_set, counts, {"method": "last trials of each condition"}),
        provenance={"source": "synthetic", "system": "lorenz", "settings": asdict(settings)},
    )


def lorenz_trajectories(settings: LorenzSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Euler steps of the attractor from `N(0,1) + (0, 0, 25)`, after the burn-in, [C, S, 3]."""
    state = rng.standard_normal((settings.n_conditions, 3)) + np.array([0.0, 0.0, 25.0])
    trajectories = np.empty((settings.n_conditions, settings.n_steps, 3))
    for step in range(-settings.n_burn_in_steps, settings.n_steps):
        if step >= 0:
            trajectories[:, step] = state
        x, y, z = state.T
        slope = np.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z], axis=1)
        state = state + settings.euler_step * slope
        if not (np.abs(state) < 1e6).all():
            raise SettingsError(
                f"euler_step {settings.euler_step:g} is too large: the attractor diverged. "
                "The recipe's 0.006 is stable; above about 0.02 it is not."
            )
    return trajectories


def normalised(trajectories: NDArray[np.float64], settings: LorenzSettings) -> NDArray[np.float64]:
    """Latents minus their mean over their maximum, per dimension, [C, S, 3]."""
    axes = (1,) if settings.centring == "condition" else (0, 1)
    centred = trajectories - trajectories.mean(axis=axes, keepdims=True)
    size = np.abs(centred) if settings.scaling == "absolute_maximum" else centred
    scale = size.max(axis=axes, keepdims=True)
    return np.asarray(
        centred / np.where(scale > 0, scale, 1.0)
    )  # a trial of one step has no extent


def _spikes(
    rate: NDArray[np.float64],
    settings: LorenzSettings,
    n_steps_per_bin: int,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Binned spikes of the trials of one condition, [trials, L, N], from its rate per ms [S, N]."""
    shape = (settings.n_trials_per_condition, *rate.shape)
    if settings.spikes == "binary":
        # The same law as Poisson(rate) > 0, at a fraction of the cost.
        steps = (rng.random(shape) < -np.expm1(-rate)).astype(np.int64)
    else:
        steps = rng.poisson(rate, shape)
    counts = steps.reshape(shape[0], -1, n_steps_per_bin, rate.shape[1]).sum(axis=2)
    return smallest_type(counts)


def _bin_means(values: NDArray[np.float64], n_steps_per_bin: int) -> NDArray[np.float64]:
    """[C, S, D] -> [C, L, D]."""
    steps = values.reshape(len(values), -1, n_steps_per_bin, values.shape[2])
    return np.asarray(steps.mean(axis=2))
