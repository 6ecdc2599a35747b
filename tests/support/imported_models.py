"""Models of lfads-torch with their data files, taken over, and what they should give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import xarray
from peer_checkpoint import PeerModel, peer_means, write_checkpoint

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.from_lfads_torch.import_run import ImportRequest, import_run
from lfads_torch.workflows.infer_file import InferRequest, infer_file

__all__ = ["BIN_WIDTH", "N_TRAIN", "N_VALID", "data_file", "expected", "imported", "inferred"]

BIN_WIDTH = 0.02
N_TRAIN, N_VALID = 8, 3


def data_file(path: Path, model: PeerModel, seed: int = 1, least: float = 0.0) -> Path:
    """A data file as lfads-torch takes it; external inputs of all bins."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for name, n in (("train", N_TRAIN), ("valid", N_VALID)):
            recon = rng.poisson(0.6, (n, model.recon_seq_len, model.n_units)) + least
            file[f"{name}_recon_data"] = recon
            file[f"{name}_encod_data"] = recon[:, : model.encod_seq_len, : model.encod_data_dim]
            if model.ext_input_dim:
                shape = (n, model.recon_seq_len, model.ext_input_dim)
                file[f"{name}_ext_input"] = rng.normal(size=shape)
    return path


def expected(
    path: Path, model: PeerModel, weights: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and factors of all trials, training trials first."""
    with h5py.File(path) as file:
        data = np.concatenate([file[f"{name}_encod_data"][()] for name in ("train", "valid")])
        inputs = np.zeros((len(data), model.recon_seq_len, 0))
        if model.ext_input_dim:
            inputs = np.concatenate([file[f"{name}_ext_input"][()] for name in ("train", "valid")])
    # Ours reads single precision.
    return peer_means(weights, model, data, inputs.astype(np.float32).astype(np.float64))


def imported(
    tmp_path: Path, model: PeerModel, weights: dict[str, np.ndarray], **changes: object
) -> RunFolder:
    options = model.hyper_parameters()
    request = ImportRequest(
        checkpoint=write_checkpoint(tmp_path / "model.ckpt", weights, options),
        folder=tmp_path / "run",
        data=(data_file(tmp_path / "data.h5", model),),
        read_options=ReadOptions(bin_width_s=BIN_WIDTH),
        overrides=("run.device=cpu",),
    )
    return import_run(replace(request, **changes), Quiet())


def inferred(run: RunFolder, tmp_path: Path, data: Path | None = None) -> xarray.Dataset:
    """At posterior means, without sampling."""
    target = infer_file(
        run, InferRequest(source=data, n_samples=0, overwrite=True), tmp_path / "rates.nc"
    )
    return xarray.load_dataset(target)
