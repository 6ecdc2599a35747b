"""A few trials of three sessions that share latents, and runs of a few epochs on them."""

from __future__ import annotations

import numpy as np
from tiny_runs import tiny_settings

from lfads_torch.data.recording import Recording, Split

__all__ = ["session", "sessions", "tiny_settings"]

N_BINS = 11


def session(name: str, n_units: int, n_trials: int, *, seed: int) -> Recording:
    """Spikes of units that follow two latents of three conditions; every fourth unit held out."""
    rng = np.random.default_rng(seed)
    condition = np.arange(n_trials) % 3
    time = np.arange(N_BINS)[None, :, None]
    latents = np.sin(0.5 * time + np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])[:, None])
    rates = 60.0 + 25.0 * latents @ rng.uniform(-1, 1, (2, n_units))
    trial_set = np.array(["train", "valid", "train", "train", "test", "train"] * n_trials)
    return Recording(
        counts=rng.poisson(rates[condition] * 0.01).astype(np.uint8),
        bin_width_s=0.01,
        trial_ids=np.arange(n_trials)[::-1] + 7,
        unit_ids=np.array([f"{name[0]}{n}" for n in range(n_units)])[::-1],
        session=name,
        condition=np.array(["left", "up", "right"])[condition],
        true_rates=rates[condition],
        split=Split(
            trial_set=trial_set[:n_trials],
            is_encoded=np.arange(n_units) % 4 != 1,
            n_encoded_bins=N_BINS,
        ),
    )


def sessions() -> list[Recording]:
    return [
        session("monday", 5, 21, seed=1),
        session("tuesday", 7, 13, seed=2),
        session("friday", 3, 33, seed=3),
    ]
