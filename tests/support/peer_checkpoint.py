"""A checkpoint in lfads-torch's format, written byte by byte, and its equations as plain loops.

Neither Lightning nor lfads-torch of old is needed: the pickle is put together from operations of
protocol 2, with objects of classes that are not installed, as real checkpoints have them.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Called", "PeerModel", "peer_means", "peer_weights", "pickled", "write_checkpoint"]


@dataclass(frozen=True)
class PeerModel:
    """Sizes and options, as lfads-torch names them; the recording's are those of the data."""

    n_units: int = 7
    encod_data_dim: int = 5
    encod_seq_len: int = 9
    recon_seq_len: int = 12
    ext_input_dim: int = 2
    ic_enc_seq_len: int = 0
    ic_enc_dim: int = 4
    ci_enc_dim: int = 3
    ci_lag: int = 1
    con_dim: int = 3
    co_dim: int = 2
    ic_dim: int = 3
    gen_dim: int = 6
    fac_dim: int = 4
    cell_clip: float = 0.6  # low enough to be reached
    n_parameters: int = 1
    readin: int | None = (
        None  # size of a linear read-in's output, which then is the encoders' input
    )

    @property
    def has_controller(self) -> bool:
        return min(self.ci_enc_dim, self.con_dim, self.co_dim) > 0

    def hyper_parameters(self) -> dict[str, Any]:
        names = (
            "encod_data_dim", "encod_seq_len", "recon_seq_len", "ext_input_dim", "ic_enc_seq_len",
            "ic_enc_dim", "ci_enc_dim", "ci_lag", "con_dim", "co_dim", "ic_dim", "gen_dim",
            "fac_dim", "cell_clip",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {
            "dropout_rate": 0.02, "variational": True, "ic_post_var_min": 1e-4, "loss_scale": 1e4,
            "recon_reduce_mean": True, "lr_scheduler": False, "lr_init": 4e-3, "lr_stop": 1e-5,
            "lr_decay": 0.95, "lr_patience": 6, "lr_adam_beta1": 0.9, "lr_adam_beta2": 0.999,
            "lr_adam_epsilon": 1e-8, "weight_decay": 0.0, "l2_start_epoch": 0,
            "l2_increase_epoch": 80, "l2_ic_enc_scale": 0.0, "l2_ci_enc_scale": 0.0,
            "l2_gen_scale": 1e-3, "l2_con_scale": 1e-4, "kl_start_epoch": 0,
            "kl_increase_epoch": 80, "kl_ic_scale": 1e-6, "kl_co_scale": 2e-6,
            "train_aug_stack": _augmentations(self.ic_enc_seq_len),
            "infer_aug_stack": Called("lfads_torch.modules.augmentations.AugmentationStack", (), {
                "batch_transforms": [], "loss_transforms": []}),
        }  # fmt: skip


@dataclass(frozen=True)
class Called:
    """An object in the pickle: the name is called with the arguments, and given the state."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    entries: Mapping[Any, Any] = field(default_factory=dict)


def _augmentations(ic_enc_seq_len: int) -> Called:
    modules = "lfads_torch.modules.augmentations"
    bernoulli = "torch.distributions.bernoulli.Bernoulli"
    dropout = Called(f"{modules}.CoordinatedDropout", (), {
        "cd_rate": 0.3, "ic_enc_seq_len": ic_enc_seq_len, "grad_masks": [],
        "cd_input_dist": Called(bernoulli, (), {"probs": np.array(0.7, np.float32)}),
        "cd_pass_dist": Called(bernoulli, (), {"probs": np.array(0.25, np.float32)}),
    })  # fmt: skip
    stack = {"batch_transforms": [dropout], "loss_transforms": [dropout]}
    return Called(f"{modules}.AugmentationStack", (), stack)


def peer_weights(model: PeerModel, seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors under lfads-torch's names, all biases among them."""
    rng = np.random.default_rng(seed)
    m = model
    n_seen = m.readin or m.encod_data_dim
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.ic_enc_h0": (2, 1, m.ic_enc_dim),
        "encoder.ic_linear.weight": (2 * m.ic_dim, 2 * m.ic_enc_dim),
        "encoder.ic_linear.bias": (2 * m.ic_dim,),
        "decoder.ic_to_g0.weight": (m.gen_dim, m.ic_dim),
        "decoder.ic_to_g0.bias": (m.gen_dim,),
        "decoder.con_h0": (1, m.con_dim),
        "decoder.rnn.cell.fac_linear.weight": (m.fac_dim, m.gen_dim),
        "readout.0.weight": (m.n_parameters * m.n_units, m.fac_dim),
        "readout.0.bias": (m.n_parameters * m.n_units,),
        "ic_prior.mean": (m.ic_dim,),
        "co_prior.logtaus": (m.co_dim,),
        "co_prior.lognvars": (m.co_dim,),
    }
    cells = {"decoder.rnn.cell.gen_cell": (m.gen_dim, m.ext_input_dim + m.co_dim)}
    cells |= {f"encoder.ic_enc.{way}_gru.cell": (m.ic_enc_dim, n_seen) for way in ("fwd", "bwd")}
    if m.has_controller:
        cells |= {
            f"encoder.ci_enc.{way}_gru.cell": (m.ci_enc_dim, n_seen) for way in ("fwd", "bwd")
        }
        cells["decoder.rnn.cell.con_cell"] = (m.con_dim, 2 * m.ci_enc_dim + m.fac_dim)
        shapes["encoder.ci_enc_h0"] = (2, 1, m.ci_enc_dim)
        shapes["decoder.rnn.cell.co_linear.weight"] = (2 * m.co_dim, m.con_dim)
        shapes["decoder.rnn.cell.co_linear.bias"] = (2 * m.co_dim,)
    for name, (size, n_inputs) in cells.items():
        shapes[f"{name}.weight_ih"] = (3 * size, n_inputs)
        shapes[f"{name}.weight_hh"] = (3 * size, size)
        shapes[f"{name}.bias_ih"] = shapes[f"{name}.bias_hh"] = (3 * size,)
    if m.readin:
        shapes |= {
            "readin.0.weight": (m.readin, m.encod_data_dim), "readin.0.bias": (m.readin,),
        }  # fmt: skip
    weights = {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}
    weights["ic_prior.logvar"] = np.full(m.ic_dim, np.log(0.2))
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _gru(weights: Mapping[str, np.ndarray], name: str, x: Any, h: Any, clip: float) -> Any:
    """Rows of gates z, r, n; the reset gate acts before the recurrent product."""
    w_ih, w_hh = weights[f"{name}.weight_ih"], weights[f"{name}.weight_hh"]
    b_ih, b_hh = weights[f"{name}.bias_ih"], weights[f"{name}.bias_hh"]
    size = len(h)
    z, r, n = (slice(k * size, (k + 1) * size) for k in range(3))

    def squashed(value: Any) -> Any:
        return 1 / (1 + np.exp(-value))

    update = squashed(w_ih[z] @ x + b_ih[z] + w_hh[z] @ h + b_hh[z])
    reset = squashed(w_ih[r] @ x + b_ih[r] + w_hh[r] @ h + b_hh[r])
    candidate = np.tanh(w_ih[n] @ x + b_ih[n] + w_hh[n] @ (reset * h) + b_hh[n])
    return np.clip(update * h + (1 - update) * candidate, -clip, clip)


def _both_ways(weights: Mapping[str, np.ndarray], name: str, data: Any, clip: float) -> Any:
    """States of both directions, in the order of time."""
    forward, backward = weights[f"encoder.{name}_h0"][:, 0]
    forwards, backwards = [], []
    for x in data:
        forward = _gru(weights, f"encoder.{name}.fwd_gru.cell", x, forward, clip)
        forwards.append(forward)
    for x in data[::-1]:
        backward = _gru(weights, f"encoder.{name}.bwd_gru.cell", x, backward, clip)
        backwards.insert(0, backward)
    return np.array(forwards), np.array(backwards)


def peer_means(
    weights: Mapping[str, np.ndarray], model: PeerModel, data: np.ndarray, inputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters [B, T, K*N] and factors [B, T, F] at posterior means, one trial after the other.

    `data` [B, E, encoded units], `inputs` [B, T, external inputs]. T counts all bins, those of
    an initial segment too.
    """
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    found = [_trial(weights, model, x, u) for x, u in zip(data, inputs, strict=True)]
    return np.array([each[0] for each in found]), np.array([each[1] for each in found])


def _trial(w: Mapping[str, np.ndarray], m: PeerModel, data: Any, inputs: Any) -> Any:
    if m.readin:
        data = data @ w["readin.0.weight"].T + w["readin.0.bias"]
    n_first = m.ic_enc_seq_len
    ways = _both_ways(w, "ic_enc", data[:n_first] if n_first else data, m.cell_clip)
    last = np.concatenate([ways[0][-1], ways[1][0]])
    mean = (w["encoder.ic_linear.weight"] @ last + w["encoder.ic_linear.bias"])[: m.ic_dim]
    state = w["decoder.ic_to_g0.weight"] @ mean + w["decoder.ic_to_g0.bias"]
    to_factors = w["decoder.rnn.cell.fac_linear.weight"]
    to_factors = to_factors / np.linalg.norm(to_factors, axis=1, keepdims=True)
    factors, control = to_factors @ state, w["decoder.con_h0"][0]
    seen = _controller_input(w, m, data[n_first:]) if m.has_controller else None
    parameters, all_factors = [], []
    for t in range(m.recon_seq_len):
        driving = inputs[t]
        if seen is not None:
            x = np.concatenate([seen[t], factors])
            control = _gru(w, "decoder.rnn.cell.con_cell", x, control, m.cell_clip)
            output = w["decoder.rnn.cell.co_linear.weight"] @ control
            output = output + w["decoder.rnn.cell.co_linear.bias"]
            driving = np.concatenate([output[: m.co_dim], driving])
        state = _gru(w, "decoder.rnn.cell.gen_cell", driving, state, m.cell_clip)
        factors = to_factors @ state
        all_factors.append(factors)
        parameters.append(w["readout.0.weight"] @ factors + w["readout.0.bias"])
    return np.array(parameters), np.array(all_factors)


def _controller_input(w: Mapping[str, np.ndarray], m: PeerModel, data: Any) -> Any:
    """[T, both directions]: lagged, zero in the initial segment, in forward bins and beyond."""
    forwards, backwards = _both_ways(w, "ci_enc", data, m.cell_clip)
    seen = np.zeros((m.recon_seq_len, 2 * m.ci_enc_dim))
    for t in range(len(data)):
        if t - m.ci_lag >= 0:
            seen[m.ic_enc_seq_len + t, : m.ci_enc_dim] = forwards[t - m.ci_lag]
        if t + m.ci_lag < len(data):
            seen[m.ic_enc_seq_len + t, m.ci_enc_dim :] = backwards[t + m.ci_lag]
    return seen


def pickled(value: Any, storages: list[np.ndarray]) -> bytes:
    """A pickle of protocol 2; arrays become tensors whose numbers are put into `storages`."""
    return b"\x80\x02" + _operations(value, storages) + b"."


def _operations(value: Any, storages: list[np.ndarray]) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, np.ndarray):
        return _tensor(value, storages)
    if isinstance(value, Called):
        return _called(value, storages)
    if isinstance(value, dict):
        inner = b"".join(_operations(x, storages) for pair in value.items() for x in pair)
        return b"}(" + inner + b"u"
    inner = b"".join(_operations(each, storages) for each in value)
    return b"(" + inner + b"t" if isinstance(value, tuple) else b"](" + inner + b"e"


def _global(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def _called(value: Called, storages: list[np.ndarray]) -> bytes:
    made = _global(value.name) + _operations(value.arguments, storages) + b"R"
    if value.entries:
        pairs = [x for pair in value.entries.items() for x in pair]
        made += b"(" + b"".join(_operations(x, storages) for x in pairs) + b"u"
    return made if value.state is None else made + _operations(value.state, storages) + b"b"


def _tensor(value: np.ndarray, storages: list[np.ndarray]) -> bytes:
    kinds = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}
    storages.append(value)
    strides = tuple(int(each) // value.itemsize for each in value.strides)
    key = _operations(str(len(storages) - 1), storages)
    storage = b"(" + _operations("storage", storages) + _global(f"torch.{kinds[value.dtype.name]}")
    storage += key + _operations("cpu", storages) + _operations(value.size, storages) + b"tQ"
    shape = tuple(map(int, value.shape))
    rest = b"".join(_operations(each, storages) for each in (0, shape, strides, False))
    hooks = _operations(Called("collections.OrderedDict"), storages)
    return _global("torch._utils._rebuild_tensor_v2") + b"(" + storage + rest + hooks + b"tR"


def write_checkpoint(
    path: Path, weights: Mapping[str, np.ndarray], hyper_parameters: Any, **more: Any
) -> Path:
    """As Lightning writes one, with what it puts beside the state; `more` is put there too."""
    state = Called("collections.OrderedDict", (), {"_metadata": {}}, dict(weights))
    content = {
        "epoch": 41,
        "global_step": 1234,
        "pytorch-lightning_version": "1.6.5",
        "state_dict": state,
        "callbacks": {
            "ModelCheckpoint": {"best_model_path": Called("pathlib.PosixPath", ("a", "b.ckpt"))}
        },
        "optimizer_states": [{"state": {0: {"exp_avg": np.ones((1, 3), np.float32)}}}],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters,
        **more,
    }
    storages: list[np.ndarray] = []
    described = pickled(content, storages)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", described)
        file.writestr("archive/version", b"3\n")
        for key, value in enumerate(storages):
            file.writestr(f"archive/data/{key}", np.ascontiguousarray(value).tobytes())
    return path
