"""A Lightning checkpoint of lfads-torch: its tensors by name, and the options it was trained with.

Nothing in the file is run (`data/torch_archive`). Checkpoints of a search by Ray Tune are of the
same kind; a bare `state_dict` that somebody saved is read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.data.torch_archive.archive import TorchArchive, open_archive
from lfads_torch.data.torch_archive.contents import entries_of, is_known, plain
from lfads_torch.data.torch_archive.stored_tensor import StoredTensor, tensor_of
from lfads_torch.errors import FormatError
from lfads_torch.workflows.from_lfads_torch.configuration import Configuration

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Checkpoint", "read_checkpoint"]

# Names that earlier versions, and wrappers around the model, gave to the same tensors.
_PREFIXES = ("module.", "model.", "_orig_mod.")
_EARLIER = {
    "output_linear.": "readout.0.",
    "readin.weight": "readin.0.weight",
    "readin.bias": "readin.0.bias",
    "readout.weight": "readout.0.weight",
    "readout.bias": "readout.0.bias",
    "decoder.rnn.con_h0": "decoder.con_h0",
    "recon.scale": "recon.0.scale",
}
_CONTENT = ("encoder.", "decoder.")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The tensors of a model by lfads-torch's names, not read yet, and what else was stored."""

    path: Path
    archive: TorchArchive
    tensors: Mapping[str, StoredTensor]
    configuration: Configuration  # `model` and `datamodule`, as far as the file has them
    epoch: int | None
    step: int | None
    unknown_names: tuple[str, ...]  # of code that was not run, the most frequent first

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A tensor of this shape. Raises FormatError where it is missing or of another shape."""
        tensor = self.tensors.get(name)
        if tensor is None:
            near = ", ".join(sorted(self.tensors)[:6])
            raise FormatError(
                f"{self.path}: the state has no {name!r} (it has {near}, ...). Needed is a "
                "checkpoint of lfads-torch's LFADS model."
            )
        if tensor.shape != shape:
            raise FormatError(
                f"{self.path}: {name!r} has the shape {tensor.shape}; the other tensors of the "
                f"model need {shape}. The state is not that of one model: give the checkpoint as "
                "training has written it."
            )
        values = self.archive.array(tensor).astype(np.float32)
        if not np.isfinite(values).all():
            raise FormatError(
                f"{self.path}: {name!r} holds numbers that are not finite; the training had "
                "diverged. Give a checkpoint from before that."
            )
        return values

    def shape(self, name: str) -> tuple[int, ...] | None:
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.shape

    def numbers(self, name: str) -> NDArray[np.float32] | None:
        """A tensor of any shape, or None where there is none of this name."""
        shape = self.shape(name)
        return None if shape is None else self.array(name, shape)


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises FormatError where the file holds no state of an LFADS model."""
    archive = open_archive(path)
    top = entries_of(archive.value)
    if top is None:
        raise FormatError(f"{path}: holds no dictionary, as a checkpoint does. {_NEEDED}")
    stored = entries_of(top["state_dict"]) if "state_dict" in top else top
    tensors = {
        _today(name): tensor
        for name, value in (stored or {}).items()
        if isinstance(name, str) and (tensor := tensor_of(value)) is not None
    }
    if not all(any(name.startswith(part) for name in tensors) for part in _CONTENT):
        found = ", ".join(sorted(map(str, stored or {}))[:6]) or "nothing"
        raise FormatError(f"{path}: holds no LFADS model (found: {found}). {_NEEDED}")
    unknown = sorted(
        (name for name in archive.names if not is_known(name)),
        key=lambda name: -archive.names[name],
    )
    return Checkpoint(
        path=path,
        archive=archive,
        tensors=tensors,
        configuration=Configuration(_options(top, archive)),
        epoch=_count(top.get("epoch")),
        step=_count(top.get("global_step")),
        unknown_names=tuple(unknown),
    )


_NEEDED = "Needed is a checkpoint (.ckpt) that lfads-torch has written."


def _today(name: str) -> str:
    """The name that lfads-torch's last version gives to a tensor."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for earlier, today in _EARLIER.items():
        if name == earlier or (earlier.endswith(".") and name.startswith(earlier)):
            return today + name.removeprefix(earlier)
    return name


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None


def _options(top: Mapping[Any, Any], archive: TorchArchive) -> dict[str, Any]:
    """The stored hyperparameters as a configuration; objects name their class in `_target_`."""
    found = {}
    stored = {"model": "hyper_parameters", "datamodule": "datamodule_hyper_parameters"}
    for section, name in stored.items():
        values = plain(top.get(name)) if name in top else None
        if isinstance(values, dict):
            found[section] = {
                str(key): _option(value, archive)
                for key, value in values.items()
                if not str(key).startswith("_")
            }
    return found


def _option(value: Any, archive: TorchArchive) -> Any:
    """An object's attributes that matter, with single numbers out of their tensors."""
    if isinstance(value, StoredTensor):
        return _number(value, archive)
    if isinstance(value, list):
        return [_option(each, archive) for each in value]
    if not isinstance(value, dict):
        return value
    made = {str(key): _option(each, archive) for key, each in value.items()}
    if str(made.get("_target_", "")).endswith(("CoordinatedDropout", "CoordinatedDropoutTF2")):
        passed = made.get("cd_pass_dist")
        made["cd_pass_rate"] = passed.get("probs") if isinstance(passed, dict) else None
    if "_modules" in made and isinstance(made["_modules"], dict):
        made["modules"] = list(made.pop("_modules").values())
    return made


def _number(tensor: StoredTensor, archive: TorchArchive) -> float | None:
    if any(size != 1 for size in tensor.shape):
        return None
    return float(archive.array(tensor).reshape(()))
