"""An imported model gives the rates that lfads-torch's equations, as plain loops, give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
from peer_checkpoint import Called, PeerModel, peer_means, peer_weights, write_checkpoint
from safetensors.torch import load_file
from sklearn.model_selection import train_test_split

from lfads_torch.config.check import replace_values
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, FormatError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import FitOptions, Quiet, fit_run
from lfads_torch.workflows.from_lfads_torch.import_file import checkpoint_of
from lfads_torch.workflows.from_lfads_torch.import_run import ImportRequest, import_run
from lfads_torch.workflows.infer_file import InferRequest, infer_file
from lfads_torch.workflows.sessions.folder import session_runs
from lfads_torch.workflows.stored import read_recording_of, read_settings_of
from lfads_torch.workflows.warm_start import WarmStart

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


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    model, mark = PeerModel(), tmp_path / "was_run"
    weights = peer_weights(model)
    options = model.hyper_parameters()
    options["evil"] = Called("posix.system", (f"touch {mark}",))
    options["nested"] = [Called("builtins.eval", (Called("os.getcwd"),))]
    options["co_prior"] = Called("lfads_torch.modules.priors.Unheard", (), {"tau": 3.0})
    checkpoint = write_checkpoint(tmp_path / "evil.ckpt", weights, options)
    said = Listener()
    run = import_run(
        ImportRequest(
            checkpoint=checkpoint,
            folder=tmp_path / "run",
            data=(data_file(tmp_path / "data.h5", model),),
            read_options=ReadOptions(bin_width_s=BIN_WIDTH),
        ),
        said,
    )
    assert not mark.exists()
    assert "holds objects of posix.system" in said.text
    assert "None of them was imported or called" in said.text
    assert set(run.read_record().imported["names_not_run"]) == {
        "posix.system", "builtins.eval", "os.getcwd",
    }  # fmt: skip
    _, factors = expected(tmp_path / "data.h5", model, weights)
    np.testing.assert_allclose(inferred(run, tmp_path)["factors"], factors, atol=1e-5)


class Listener(Quiet):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.text = ""

    def message(self, text: str) -> None:
        self.text += f"{text}\n"


def without(weights: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize(
    "name",
    [
        "encoder.ic_enc.fwd_gru.cell.weight_ih", "encoder.ci_enc.bwd_gru.cell.bias_hh",
        "encoder.ic_linear.bias", "decoder.con_h0", "decoder.rnn.cell.gen_cell.weight_hh",
        "decoder.rnn.cell.fac_linear.weight", "readout.0.weight",
    ],
)  # fmt: skip
def test_a_missing_or_misshapen_tensor_is_refused(name: str, tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    wrong = np.zeros((2, *weights[name].shape), np.float32)
    cases = [{**weights, name: wrong}, {**weights, name: np.full_like(weights[name], np.nan)}]
    if name != "encoder.ic_linear.bias":  # a linear map may have none
        cases.append(without(weights, name))
    for n, changed in enumerate(cases):
        (tmp_path / str(n)).mkdir()
        with pytest.raises(FormatError, match=r"state|not finite"):
            imported(tmp_path / str(n), model, changed)
        assert not (tmp_path / str(n) / "run" / "checkpoints" / "best.safetensors").exists()


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


def test_recordings_of_another_model_are_refused(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    for other, message in {
        PeerModel(n_units=6): "6 units instead of 7",
        PeerModel(encod_data_dim=4): "4 units that the encoder sees instead of 5",
        PeerModel(ext_input_dim=0): "0 external inputs instead of 2",
        PeerModel(recon_seq_len=11): "11 bins instead of 12",
        PeerModel(encod_seq_len=8): "8 encoded bins instead of 9",
    }.items():
        with pytest.raises(DataError, match=message):
            imported(tmp_path, model, weights, data=(data_file(tmp_path / "other.h5", other),))


def test_the_recording_is_asked_for_where_it_is_not_known(tmp_path: Path) -> None:
    model = PeerModel()
    weights = peer_weights(model)
    with pytest.raises(RunError, match=r"--data FILE\.h5"):
        imported(tmp_path, model, weights, data=())
    module = {"data_paths": [str(tmp_path / "data.h5")], "batch_size": 5, "reshuffle_tv_seed": 2}
    checkpoint = write_checkpoint(
        tmp_path / "with_data.ckpt", weights, model.hyper_parameters(),
        datamodule_hyper_parameters=module,
    )  # fmt: skip
    run = imported(tmp_path, model, weights, checkpoint=checkpoint, data=())
    assert read_settings_of(run).training.batch_size == 5
    # The sets that the data module drew from both: scikit-learn's own draw, as there.
    trials = run.read_split()["trials"]
    train, valid = train_test_split(np.arange(11), test_size=N_VALID, random_state=2)
    assert sorted(trials["train"]) == sorted(train.tolist())
    assert sorted(trials["valid"]) == sorted(valid.tolist())


def test_a_learned_scale_of_a_zero_inflated_gamma_is_refused(tmp_path: Path) -> None:
    model = PeerModel(n_parameters=3)
    weights = {**peer_weights(model), "recon.0.scale": np.ones((2, 7), np.float32)}
    with pytest.raises(
        FormatError, match=r"s \* max\(sigmoid.*learned scale s per unit.*no weights of ours"
    ):
        imported(tmp_path, model, weights)


def test_a_folder_with_one_best_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_checkpoints"
    folder.mkdir()
    (folder / "last.ckpt").touch()
    (folder / "epoch=3.ckpt").touch()
    assert checkpoint_of(tmp_path) == folder / "epoch=3.ckpt"
    (folder / "epoch=4.ckpt").touch()
    with pytest.raises(FormatError, match=r"epoch=3\.ckpt, .*epoch=4\.ckpt"):
        checkpoint_of(tmp_path)


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
