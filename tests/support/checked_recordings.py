"""A recording without a defect, ways to give it one, and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.check.report import CheckReport
from lfads_torch.data.recording import Recording, Split

__all__ = [
    "ALL_HELD_OUT", "PLAN", "REQUIREMENTS", "changed", "check", "clean", "copy", "drifting",
    "few_trials", "in_milliseconds", "put", "with_trial_set",
]  # fmt: skip

PLAN = FitPlan(epochs=10, batch_size=16, flops_per_s=1e10, available_bytes=2**34)
REQUIREMENTS = CheckRequirements(plan=PLAN)


def clean(n_trials: int = 60, n_bins: int = 33, n_units: int = 15) -> Recording:
    rng = np.random.Generator(np.random.Philox(1))
    slow = np.sin(np.linspace(0, 6, n_bins) + rng.uniform(0, 6, (n_trials, 1)))[:, :, None]
    rates = 0.15 * np.exp(0.7 * slow * rng.normal(size=n_units))
    return Recording(
        counts=rng.poisson(rates),
        bin_width_s=0.01,
        trial_ids=np.arange(n_trials) + 500,
        unit_ids=np.array([f"u{unit}" for unit in range(n_units)]),
        condition=np.arange(n_trials) % 3,
        split=Split(
            trial_set=np.where(np.arange(n_trials) % 4 == 3, "valid", "train"),
            is_encoded=np.arange(n_units) != 4,
            n_encoded_bins=n_bins,
        ),
    )


def changed(change: Callable[[np.ndarray], None], recording: Recording | None = None) -> Recording:
    """The clean recording with its counts (as float64) altered in place."""
    recording = recording or clean()
    counts = recording.counts.astype(np.float64)
    change(counts)
    return replace(recording, counts=counts)


def check(recording: Recording, requirements: CheckRequirements = REQUIREMENTS) -> CheckReport:
    return check_recording(recording, requirements)


def put(place: object, value: object) -> Callable[[np.ndarray], None]:
    def change(counts: np.ndarray) -> None:
        counts[place] = value

    return change


def copy(source: object, target: object) -> Callable[[np.ndarray], None]:
    def change(counts: np.ndarray) -> None:
        counts[target] = counts[source]

    return change


def drifting(counts: np.ndarray) -> None:
    rng = np.random.Generator(np.random.Philox(4))
    counts[...] = rng.poisson(np.linspace(0.05, 0.5, 60)[:, None, None], counts.shape)


def with_trial_set(names: object) -> Recording:
    recording = clean()
    assert recording.split is not None
    return recording.with_split(replace(recording.split, trial_set=np.asarray(names)))


def few_trials() -> Recording:
    return clean().take_trials(np.arange(12))


def in_milliseconds() -> Recording:
    """Windows of seconds cut at times that are a thousand times too large: hardly a spike."""
    counts = np.zeros((60, 330, 15))
    counts[3, 100, [1, 1, 5, 9]] = 1
    counts[[3, 7, 9], [101, 150, 180], 2] = 1
    return replace(clean(n_bins=330), counts=counts)


ALL_HELD_OUT = Split(
    trial_set=np.array(["train", "valid"] * 30), is_encoded=np.zeros(15, bool), n_encoded_bins=33
)
