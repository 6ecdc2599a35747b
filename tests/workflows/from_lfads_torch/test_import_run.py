"""An imported model gives the rates that lfads-torch's equations, as plain loops, give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from imported_models import BIN_WIDTH, data_file, expected, imported, inferred
from peer_checkpoint import PeerModel, peer_weights, write_checkpoint
from safetensors.torch import load_file

from lfads_torch.config.check import replace_values
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.workflows.fit import FitOptions, fit_run
from lfads_torch.workflows.stored import read_recording_of, read_settings_of
from lfads_torch.workflows.warm_start import WarmStart

MODELS = {
    "everything": PeerModel(ic_enc_seq_len=3),
    "initial segment, long lag": PeerModel(ic_enc_seq_len=2, ci_lag=4),
    "without initial segment": PeerModel(),
    "no lag": PeerModel(ci_lag=0),
    "no controller": PeerModel(co_dim=0, con_dim=0, ci_enc_dim=0),
    "no external inputs": PeerModel(ext_input_dim=0),
    "nothing drives the generator": PeerModel(co_dim=0, con_dim=0, ci_enc_dim=0, ext_input_dim=0),
    "all units and bins encoded": PeerModel(encod_data_dim=7, encod_seq_len=12),
    "one of everything": PeerModel(
        n_units=1, encod_data_dim=1, encod_seq_len=1, recon_seq_len=1, ext_input_dim=1,
        ic_enc_dim=1, ci_enc_dim=1, con_dim=1, co_dim=1, ic_dim=1, gen_dim=1, fac_dim=1,
    ),
    "a linear read-in": PeerModel(readin=6),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_an_imported_model_gives_the_rates_of_the_plain_loops(
    model: PeerModel, tmp_path: Path
) -> None:
    weights = peer_weights(model)
    run = imported(tmp_path, model, weights)
    found = inferred(run, tmp_path)
    parameters, factors = expected(tmp_path / "data.h5", model, weights)
    np.testing.assert_allclose(found["factors"], factors, atol=1e-5)
    np.testing.assert_allclose(found["rates"] * BIN_WIDTH, np.exp(parameters), rtol=1e-5, atol=1e-5)
    assert np.abs(np.diff(factors, axis=1)).max(initial=1.0) > 1e-2  # something happens in it


def test_both_biases_of_every_cell_count(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    run = imported(tmp_path, model, weights)
    before = inferred(run, tmp_path)["factors"]
    for name in [name for name in weights if name.endswith("bias_hh")]:
        changed = {**weights, name: weights[name] + 0.5}
        (tmp_path / name).mkdir()
        again = imported(tmp_path / name, model, changed)
        found = inferred(again, tmp_path / name)["factors"]
        _, factors = expected(tmp_path / "data.h5", model, changed)
        np.testing.assert_allclose(found, factors, atol=1e-5)
        assert float(abs(found - before).max()) > 1e-3, name


def test_held_out_units_between_encoded_ones_keep_their_places(tmp_path: Path) -> None:
    """There the encoded units come first; a recording of ours may have them in any order."""
    model = PeerModel()
    weights = peer_weights(model)
    theirs = read_recording(
        data_file(tmp_path / "data.h5", model), options=ReadOptions(bin_width_s=BIN_WIDTH)
    )
    # Positions 2 and 5 are held out: there they are the last two.
    order = np.array([0, 1, 5, 2, 3, 6, 4])
    ours = replace(theirs.take_units(order), unit_ids=theirs.unit_ids[order])
    write_recording(ours, tmp_path / "ours.h5")
    run = imported(tmp_path, model, weights, data=(tmp_path / "ours.h5",), read_options=None)
    found = inferred(run, tmp_path)
    parameters, _ = expected(tmp_path / "data.h5", model, weights)
    np.testing.assert_allclose(
        found["rates"] * BIN_WIDTH, np.exp(parameters)[..., order], rtol=1e-5, atol=1e-5
    )


def test_priors_and_options_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    run = imported(tmp_path, model, weights)
    stored = load_file(run.best_checkpoint_path)
    for ours, theirs in {
        "initial_condition_prior.mean": "ic_prior.mean",
        "input_prior.log_time_constant": "co_prior.logtaus",
        "input_prior.log_variance": "co_prior.lognvars",
    }.items():
        np.testing.assert_array_equal(stored[f"weights/{ours}"][0], weights[theirs])
    settings = read_settings_of(run)
    assert settings.model.initial_condition_prior_variance == pytest.approx(0.2)
    assert settings.model.cell_clip == 0.6
    assert settings.loss.l2_generator_scale == 1e-3
    # Kept as an attribute and as the parameter of a distribution, in an object that is not there.
    assert settings.augmentation.coordinated_dropout_rate == 0.3
    assert settings.augmentation.coordinated_dropout_pass_rate == 0.25
    assert settings.training.plateau_factor == 1.0
    assert load_file(run.last_checkpoint_path).keys() >= stored.keys() - {"members"}
    record = run.read_record()
    assert (record.status, record.imported["epoch"], record.imported["step"]) == (
        "finished", 41, 1234,
    )  # fmt: skip
    assert any(
        line.startswith("model.kl_co_scale: 2e-06 -> ") for line in record.imported["options"]
    )


def test_a_new_recording_of_the_same_units_can_be_inferred(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    run = imported(tmp_path, model, weights)
    new = data_file(tmp_path / "new.h5", model, seed=5)
    found = inferred(run, tmp_path, new)
    parameters, _ = expected(new, model, weights)
    np.testing.assert_allclose(found["rates"] * BIN_WIDTH, np.exp(parameters), rtol=1e-5, atol=1e-5)
    assert set(found["trial_set"].values) == {"new"}


def test_a_state_alone_is_read_with_the_models_configuration(tmp_path: Path) -> None:
    model = PeerModel(ext_input_dim=0, cell_clip=0.6)
    weights = peer_weights(model)
    torch.save({name: torch.from_numpy(each) for name, each in weights.items()}, tmp_path / "s.pt")
    config = tmp_path / "model.yaml"
    config.write_text("_target_: lfads_torch.model.LFADS\ncell_clip: 0.6\nci_lag: 1\n")
    run = imported(tmp_path, model, weights, checkpoint=tmp_path / "s.pt", configurations=(config,))
    _, factors = expected(tmp_path / "data.h5", model, weights)
    np.testing.assert_allclose(inferred(run, tmp_path)["factors"], factors, atol=1e-5)


def test_names_of_earlier_versions(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    earlier = {name.replace("readout.0.", "output_linear."): w for name, w in weights.items()}
    run = imported(tmp_path, model, earlier)
    parameters, _ = expected(tmp_path / "data.h5", model, weights)
    found = inferred(run, tmp_path)["rates"] * BIN_WIDTH
    np.testing.assert_allclose(found, np.exp(parameters), rtol=1e-5, atol=1e-5)


FAMILIES = {
    "Gaussian": (2, lambda p: p[..., 0, :]),
    "MSE": (1, lambda p: p[..., 0, :]),
    "Gamma": (2, lambda p: np.exp(p[..., 0, :]) / np.exp(p[..., 1, :])),  # shape over rate
    "PoissonBPS": (1, lambda p: np.exp(p[..., 0, :]) / BIN_WIDTH),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_observation_of_a_configuration(family: str, tmp_path: Path) -> None:
    """The checkpoint has its parameters and does not say what they are of."""
    n_parameters, mean = FAMILIES[family]
    model = PeerModel(n_parameters=n_parameters)
    weights = peer_weights(model)
    config = tmp_path / "model.yaml"
    config.write_text(
        "_target_: lfads_torch.model.LFADS\n"
        f"reconstruction: [{{_target_: lfads_torch.modules.recons.{family}}}]\n"
    )
    data = data_file(tmp_path / "positive.h5", model, least=0.0 if "Poisson" in family else 0.5)
    run = imported(tmp_path, model, weights, configurations=(config,), data=(data,))
    parameters, _ = expected(data, model, weights)
    split = parameters.reshape(*parameters.shape[:2], n_parameters, model.n_units)
    np.testing.assert_allclose(inferred(run, tmp_path)["rates"], mean(split), rtol=1e-4, atol=1e-5)


def test_student_t_priors_and_none(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    bare = {name: w for name, w in weights.items() if "_prior." not in name}
    heavy = {
        **bare,
        "ic_prior.loc": np.full(3, 0.4, np.float32),
        "ic_prior.logscale": np.full(3, -1, np.float32),
        "co_prior.logtaus": weights["co_prior.logtaus"],
        "co_prior.lognvars": weights["co_prior.lognvars"],
    }  # fmt: skip
    run = imported(tmp_path, model, heavy)
    stored = load_file(run.best_checkpoint_path)
    np.testing.assert_array_equal(
        stored["weights/initial_condition_prior.location"][0], heavy["ic_prior.loc"]
    )
    assert read_settings_of(run).model.initial_condition_prior == "student_t"
    assert any("Student-t" in text for text in run.read_record().warnings)
    options = {**model.hyper_parameters(), "variational": False}
    checkpoint = write_checkpoint(tmp_path / "null.ckpt", bare, options)
    plain = imported(tmp_path, model, bare, checkpoint=checkpoint, folder=tmp_path / "plain")
    assert not read_settings_of(plain).model.variational
    _, factors = expected(tmp_path / "data.h5", model, weights)
    for each in (run, plain):
        np.testing.assert_allclose(inferred(each, tmp_path)["factors"], factors, atol=1e-5)


def test_training_goes_on_from_an_imported_model(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    run = imported(tmp_path, model, weights)
    short = {"training.epochs": 1, "loss.kl_ramp_increase": 0, "loss.l2_ramp_increase": 0}
    settings = replace_values(read_settings_of(run), short)
    options = FitOptions(start_from=WarmStart(run=run.path))
    recording = read_recording_of(run)
    fit = fit_run(recording, settings, tmp_path / "fit", options=options)
    before, after = (load_file(each.last_checkpoint_path) for each in (run, fit))
    for name in before:
        if name.startswith("weights/"):
            moved = (after[name] - before[name]).abs().max()
            assert 0 <= moved <= 1.01 * settings.training.learning_rate, name  # one step of Adam
