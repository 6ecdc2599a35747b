"""A small model of a chopped synthetic session finds its rates, in every bin of it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lfads_torch.config.read import read_settings
from lfads_torch.outputs.merged_file import open_merged
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.fit_file import FitRequest, fit_file

N_BINS, N_UNITS, WIDTH_S = 2011, 20, 0.02


def write_session(path):
    """Two oscillations of wandering frequency drive the rates and the hand."""
    rng = np.random.default_rng(0)
    speed = 0.15 + 0.05 * np.sin(np.arange(N_BINS) / 97.0)
    phase = np.cumsum(speed)
    latents = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    rates = np.exp(-0.9 + latents @ rng.normal(0, 0.9, (2, N_UNITS)))
    with h5py.File(path, "w") as file:
        file["spikes"], file["hand"] = rng.poisson(rates).astype(np.uint8), latents
        file.attrs["bin_width_s"] = WIDTH_S
    return rates / WIDTH_S, latents


def r2(target, prediction):
    error = ((target - prediction) ** 2).sum(axis=0)
    return float((1 - error / ((target - target.mean(axis=0)) ** 2).sum(axis=0)).mean())


@pytest.mark.slow
def test_merged_rates_are_the_true_ones_and_decode_behaviour_in_test_bins(tmp_path):
    true_rates, hand = write_session(tmp_path / "session.h5")
    values = {
        "chop.length_s": 0.8, "chop.overlap_s": 0.2, "split.test_fraction": 0.2,
        "model.ic_encoder_size": 24, "model.generator_size": 24, "model.n_factors": 4,
        "model.n_inferred_inputs": 0, "model.initial_condition_size": 12,
        "training.epochs": 120, "training.batch_size": 16, "loss.kl_ramp_increase": 20,
        "loss.l2_ramp_increase": 20, "inference.n_samples": 10, "run.threads": 1,
    }  # fmt: skip
    settings = read_settings(None, "small", tuple(f"{k}={v}" for k, v in values.items()))
    request = FitRequest(source=tmp_path / "session.h5", folder=tmp_path / "run", settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfads_torch.analysis.report.render_report", lambda *_, **__: "<html>")
        run = fit_file(request, Quiet())
    with open_merged(run.path / "merged.nc") as merged:
        rates, of_bin = merged["rates"].values.astype(float), merged["bin_set"].values
        stored_hand = merged["behaviour_hand"].values
    assert np.isfinite(rates).all()
    np.testing.assert_allclose(stored_hand, hand, atol=1e-6)
    train, test = of_bin == "train", of_bin == "test"
    assert r2(true_rates[test], rates[test]) > 0.7
    weights, *_ = np.linalg.lstsq(
        np.column_stack([rates[train], np.ones(train.sum())]), hand[train], rcond=None
    )
    decoded = np.column_stack([rates[test], np.ones(test.sum())]) @ weights
    assert r2(hand[test], decoded) > 0.7
