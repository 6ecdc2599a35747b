"""A session of spikes and EMG: prepared, fitted with a family for each, and its rates written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import TINY, Lfads, options

from lfads_torch.outputs.rates_file import open_rates

QUICK = [*options({**TINY, "training.epochs": 1, "split.held_out_fraction": 0.0}), "--quiet"]


def write_session(path: Path) -> Path:
    random = np.random.default_rng(3)
    np.savez(
        path, spike_times=np.sort(random.uniform(0, 30, 900)),
        spike_units=random.integers(0, 3, 900), go=np.arange(1.0, 29.0, 1.0),
        emg=random.gamma(2.0, size=(30000, 2)), emg_rate_hz=1000.0,
    )  # fmt: skip
    return path


def test_spikes_and_emg_are_prepared_and_fitted_each_by_its_family(
    lfads: Lfads, tmp_path: Path
) -> None:
    session, trials = write_session(tmp_path / "session.npz"), tmp_path / "trials.h5"
    cut = ("--event", "go", "--window", "0", "0.4", "--bin-width", "0.05")
    done = lfads("prepare", session, "--out", trials, *cut, "--signals", "emg=gama")
    assert "of --signals or of the file: there is no" in done.err
    assert done.code == 1
    assert "observation family of --signals" in done.err
    assert "gamma" in done.err
    assert not trials.exists()
    done = lfads("prepare", session, "--out", trials, *cut, "--signals", "emg=gamma")
    assert done.code == 0, done.err
    assert "signals: emg, 2 units of gamma, averages in bins of samples 0.001 s" in done.err
    fitted = lfads("fit", trials, "--out", tmp_path / "run", *QUICK)
    assert fitted.code == 0, fitted.err
    with open_rates(tmp_path / "run" / "rates.nc") as rates:
        assert rates.observation.values.tolist() == ["poisson"] * 3 + ["gamma"] * 2
        assert rates.rate_unit.values.tolist() == ["spikes/s"] * 3 + ["as in counts"] * 2
        assert np.isfinite(rates.rates.values).all()


def test_a_fit_of_the_session_itself_remembers_its_signals(lfads: Lfads, tmp_path: Path) -> None:
    session = write_session(tmp_path / "session.npz")
    read = ("--bin-width", "0.05", "--signals", "emg=gamma")
    fitted = lfads("fit", session, "--out", tmp_path / "run", *read, *QUICK,
                   "--set", "chop.length_s=1.0")  # fmt: skip
    assert fitted.code == 0, fitted.err
    again = lfads("infer", tmp_path / "run", session, "--out", tmp_path / "again.nc")
    assert again.code == 0, again.err
    with open_rates(tmp_path / "again.nc") as rates:
        assert rates.observation.values.tolist() == ["poisson"] * 3 + ["gamma"] * 2
