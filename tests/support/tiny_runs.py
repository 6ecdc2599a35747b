"""Recordings of a few trials and runs of a few epochs, for tests of what comes after training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.stored import read_recording_of

__all__ = ["fitted", "rich_recording", "tiny_settings", "with_rates"]

N_TRIALS, N_BINS, N_UNITS = 30, 12, 6
SIZES = (
    "run.preset=small", "run.device=cpu", "model.ic_encoder_size=5",
    "model.controller_encoder_size=4", "model.controller_size=4", "model.generator_size=6",
    "model.n_factors=3", "model.n_inferred_inputs=2", "model.initial_condition_size=4",
    "training.epochs=3", "training.batch_size=16", "loss.kl_ramp_increase=0",
    "loss.l2_ramp_increase=0", "inference.n_samples=3",
)  # fmt: skip


def tiny_settings(*overrides: str) -> Settings:
    """Settings of a model that trains in a second; later overrides win."""
    return read_settings(overrides=(*SIZES, *overrides))


def rich_recording(seed: int = 0, *, n_missing: int = 7) -> Recording:
    """Three conditions with their own rates; behaviour, truth, one input pulse in most trials."""
    rng = np.random.default_rng(seed)
    condition = np.arange(N_TRIALS) % 3
    time = np.arange(N_BINS)
    phase = rng.uniform(0, 6, (3, N_UNITS))
    rates = 80 + 60 * np.sin(0.6 * time[None, :, None] + phase[:, None])
    latents = np.stack([np.sin(0.6 * time), np.cos(0.6 * time)], axis=1)[None].repeat(N_TRIALS, 0)
    counts = rng.poisson(rates[condition] * 0.01).astype(np.float64)
    counts.reshape(-1)[rng.choice(counts.size, n_missing, replace=False)] = np.nan
    inputs = np.zeros((N_TRIALS, N_BINS, 1))
    has_pulse = np.arange(N_TRIALS) % 4 != 1
    inputs[has_pulse, rng.integers(3, 9, has_pulse.sum())] = 1.0
    hand = latents * (1 + condition)[:, None, None] + rng.normal(0, 0.2, latents.shape)
    return Recording(
        counts=counts,
        bin_width_s=0.01,
        start_s=-0.05,
        trial_ids=np.arange(N_TRIALS) * 3 + 100,
        unit_ids=np.array([f"unit {n}" for n in range(N_UNITS)]),
        session="tiny",
        condition=condition,
        behaviour={"hand": hand, "eye": rng.normal(size=(N_TRIALS, N_BINS, 1))},
        true_rates=rates[condition],
        true_latents=latents + 0.1 * rng.normal(size=latents.shape),
        true_inputs=inputs,
    )


def fitted(recording: Recording, folder: Path, *overrides: str) -> RunFolder:
    """A finished run without rates."""
    return fit_run(recording, tiny_settings(*overrides), folder)


def with_rates(run: RunFolder) -> RunFolder:
    """The run with its rates file."""
    infer_to_file(run, read_recording_of(run), run.rates_path, is_new=False)
    return run
