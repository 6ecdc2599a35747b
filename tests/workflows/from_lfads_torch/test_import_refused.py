"""Checkpoints and recordings that are refused or asked for, and code in them that is never run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imported_models import BIN_WIDTH, N_VALID, data_file, expected, imported, inferred
from peer_checkpoint import Called, PeerModel, peer_weights, write_checkpoint
from sklearn.model_selection import train_test_split

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.errors import DataError, FormatError, RunError
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.from_lfads_torch.import_file import checkpoint_of
from lfads_torch.workflows.from_lfads_torch.import_run import ImportRequest, import_run
from lfads_torch.workflows.stored import read_settings_of


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
