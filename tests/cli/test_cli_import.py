"""`lfads import`, and what can be done with what it has made."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from command_line import Lfads
from peer_checkpoint import Called, PeerModel, peer_means, peer_weights, write_checkpoint
from peer_configuration import write_configuration

MODEL = PeerModel(ext_input_dim=0)
WIDTH = ("--bin-width", 0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        for name, n in (("train", 9), ("valid", 4)):
            recon = rng.poisson(0.8, (n, MODEL.recon_seq_len, MODEL.n_units))
            file[f"{name}_recon_data"] = recon
            file[f"{name}_encod_data"] = recon[:, : MODEL.encod_seq_len, : MODEL.encod_data_dim]
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    options = MODEL.hyper_parameters()
    options["own"] = Called("a_lab.models.Gadget", (), {"x": 1})
    (tmp_path / "peer").mkdir()
    return write_checkpoint(tmp_path / "peer" / "epoch=41.ckpt", peer_weights(MODEL), options)


def test_a_checkpoint_becomes_a_run(
    lfads: Lfads, data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = lfads("import", checkpoint.parent, "--data", data, *WIDTH, "--out", run)
    assert found.code == 0, found.err
    assert f"run:    {run}" in found.out.replace("run:     ", "run:    ")
    assert "model.gen_dim: 6 -> model.generator_size=6" in found.err
    assert "objects of a_lab.models.Gadget, which are not known here" in found.err
    for name in ("rates.nc", "scores.json", "report.html"):
        assert (run / name).is_file()
    rates = tmp_path / "means.nc"
    assert lfads("infer", run, "--samples", 0, "--out", rates).code == 0
    with h5py.File(data) as file:
        seen = np.concatenate([file[f"{name}_encod_data"][()] for name in ("train", "valid")])
    inputs = np.zeros((len(seen), MODEL.recon_seq_len, 0))
    parameters, _ = peer_means(peer_weights(MODEL), MODEL, seen, inputs)
    with xarray.open_dataset(rates) as opened:
        np.testing.assert_allclose(opened["rates"], np.exp(parameters) / 0.02, rtol=1e-4)
    assert "co smoothing bits per spike" in lfads("evaluate", run).out
    assert lfads("plot", run, "single_trial_rates", "--out", tmp_path / "x.png").code == 0
    assert lfads("status", run).code == 0
    assert "epoch=41.ckpt of lfads-torch" in lfads("inspect", run).out
    assert lfads("resume", run).code == 0


def test_a_model_of_several_sessions(lfads: Lfads, data: Path, tmp_path: Path) -> None:
    both = peer_weights(MODEL)
    both |= {f"readout.1.{part}": both[f"readout.0.{part}"] for part in ("weight", "bias")}
    found = write_checkpoint(tmp_path / "both.ckpt", both, MODEL.hyper_parameters())
    again = tmp_path / "again" / "data.h5"
    again.parent.mkdir()
    again.write_bytes(data.read_bytes())
    files = ("--data", data, "--data", again)
    run, quick = tmp_path / "run", ("--set", "inference.n_samples=2")
    refused = lfads("import", found, *files, *WIDTH, "--out", run)
    assert "every session of a model needs its own" in refused.err
    done = lfads("import", found, *files, "--session-names", "a,b", *WIDTH, *quick, "--out", run)
    assert done.code == 0, done.err
    for name in ("a", "b"):
        assert (run / "sessions" / name / "rates.nc").is_file()
    assert lfads("infer", run, "--samples", 0, "--out", tmp_path / "rates").code == 0
    assert (tmp_path / "rates" / "b.nc").is_file()


def test_the_model_alone(lfads: Lfads, data: Path, checkpoint: Path, tmp_path: Path) -> None:
    arguments = ("--data", data, *WIDTH, "--out", tmp_path / "run", "--model-only", "--quiet")
    found = lfads("import", checkpoint, *arguments, "--set", "inference.n_samples=3")
    assert found.code == 0, found.err
    assert not (tmp_path / "run" / "rates.nc").exists()
    assert "n_samples: 3" in (tmp_path / "run" / "settings.yaml").read_text()
    again = lfads("import", checkpoint, *arguments)
    assert again.code == 1
    assert "holds a run already" in again.err
    assert lfads("import", checkpoint, *arguments, "--overwrite").code == 0


def test_a_configuration_becomes_settings_that_fit_takes(
    lfads: Lfads, data: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "ours.yaml"
    found = lfads("import", write_configuration(tmp_path / "configs"), "--out", settings)
    assert found.code == 0, found.err
    assert found.out.splitlines()[-1] == str(settings)
    assert "datamodule.batch_size: 96 -> training.batch_size=96" in found.out
    small = {
        "training.epochs": 1, "model.generator_size": 4, "model.ic_encoder_size": 3,
        "model.controller_encoder_size": 3, "loss.kl_ramp_increase": 0, "inference.n_samples": 2,
        "loss.l2_ramp_increase": 0,
    }  # fmt: skip
    changed = [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    run = tmp_path / "run"
    fit = lfads("fit", data, *WIDTH, "--settings", settings, *changed, "--out", run)
    assert fit.code == 0, fit.err
    assert "l2_controller_encoder_scale: 0.5" in (run / "settings.yaml").read_text()


def test_a_data_file_becomes_a_recording(lfads: Lfads, data: Path, tmp_path: Path) -> None:
    recording = tmp_path / "recording.h5"
    found = lfads("import", data, *WIDTH, "--out", recording)
    assert (found.code, found.out.strip()) == (
        0, f"{recording}: 13 trials, 12 bins of 20 ms, 7 units, 2 held out",
    )  # fmt: skip
    assert lfads("inspect", recording).code == 0


def test_what_is_missing_is_said(
    lfads: Lfads, data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    yaml = write_configuration(tmp_path / "configs")
    cases = {
        (checkpoint, "--out", tmp_path / "a"): "Give it as data (--data FILE.h5)",
        (checkpoint, "--data", data, "--out", tmp_path / "b"): "--bin-width",
        (tmp_path / "nothing.ckpt", "--out", tmp_path / "c"): "no such file",
        (data, *WIDTH, "--config", checkpoint, "--out", tmp_path / "d"): "--config has no use",
        (yaml, "--data", data, "--set", "a=1", "--out", tmp_path / "e"): "--data and --set has",
    }
    for arguments, message in cases.items():
        found = lfads("import", *arguments)
        assert found.code == 1
        assert message in found.err
    found = lfads("check", checkpoint)
    assert "`lfads import` takes it" in found.err
