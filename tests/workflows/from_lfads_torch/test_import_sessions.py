"""Imported models of several sessions: each gives the rates of the plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imported_models import BIN_WIDTH, data_file, expected, imported, inferred
from peer_checkpoint import PeerModel, peer_weights, write_checkpoint

from lfads_torch.errors import DataError, FormatError, RunError
from lfads_torch.workflows.sessions.folder import session_runs


def two_sessions() -> tuple[list[PeerModel], list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Models and weights as each session sees them, and the weights of both in one state."""
    models = [PeerModel(readin=6, n_units=4, encod_data_dim=3), PeerModel(readin=6)]
    shared = peer_weights(models[1])
    both, each = dict(shared), []
    for n, model in enumerate(models):
        own = peer_weights(model, seed=n)
        parts = {name: own[name] for name in own if name.startswith(("readin", "readout"))}
        each.append({**shared, **parts})
        both |= {name.replace(".0.", f".{n}."): value for name, value in parts.items()}
    return models, each, both


def test_several_sessions_in_one_run(tmp_path: Path) -> None:
    """Each has a read-in of its own into the encoders that all share."""
    models, each, both = two_sessions()
    paths = tuple(data_file(tmp_path / f"day{n}.h5", m, seed=n) for n, m in enumerate(models))
    options = {"cell_clip": 0.6, "ci_lag": 1}
    checkpoint = write_checkpoint(tmp_path / "both.ckpt", both, options)
    run = imported(tmp_path, models[0], each[0], checkpoint=checkpoint, data=paths)
    for folder, path, model, weights in zip(session_runs(run), paths, models, each, strict=True):
        parameters, _ = expected(path, model, weights)
        found = inferred(folder, tmp_path)["rates"] * BIN_WIDTH
        np.testing.assert_allclose(found, np.exp(parameters), rtol=1e-5, atol=1e-5)
    with pytest.raises(RunError, match=r"has 2 sessions, and data \(--data\) gives 1 files"):
        imported(tmp_path, models[0], each[0], checkpoint=checkpoint, folder=tmp_path / "other")


def test_one_session_of_several(tmp_path: Path) -> None:
    models, each, both = two_sessions()
    run = imported(tmp_path, models[1], both, session=1)
    parameters, _ = expected(tmp_path / "data.h5", models[1], each[1])
    found = inferred(run, tmp_path)["rates"] * BIN_WIDTH
    np.testing.assert_allclose(found, np.exp(parameters), rtol=1e-5, atol=1e-5)
    with pytest.raises(DataError, match="--of-session"):
        imported(tmp_path, models[1], both, session=0, folder=tmp_path / "other")
    with pytest.raises(FormatError, match="no session 2; the model has 2"):
        imported(tmp_path, models[1], both, session=2, folder=tmp_path / "other")


def test_sessions_whose_units_are_passed_on_as_they_are(tmp_path: Path) -> None:
    """Two modules of lfads-torch without weights: the same units, a read-out each."""
    model = PeerModel(ext_input_dim=0)
    weights = peer_weights(model)
    other = peer_weights(model, seed=4)
    both = dict(weights)
    both |= {f"readout.1.{part}": other[f"readout.0.{part}"] for part in ("weight", "bias")}
    paths = tuple(data_file(tmp_path / f"day{n}.h5", model, seed=n) for n in range(2))
    run = imported(tmp_path, model, both, data=paths)
    readouts = {name: value for name, value in other.items() if name.startswith("readout.0")}
    parameters, _ = expected(paths[1], model, {**weights, **readouts})
    found = inferred(session_runs(run)[1], tmp_path)["rates"] * BIN_WIDTH
    np.testing.assert_allclose(found, np.exp(parameters), rtol=1e-5, atol=1e-5)
