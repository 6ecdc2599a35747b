"""The whole state in one safetensors file: no pickle, written beside the target and renamed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.atomic import atomic_path, output_error
from lfads_torch.errors import FormatError, OutputError, RunError
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.state import Clocks, PopulationState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxtyping import Float, Int

    from lfads_torch.declare import OwnSettings
    from lfads_torch.model.weights import Layout

__all__ = [
    "BestModels",
    "copy_best",
    "load_best",
    "load_extras",
    "load_state",
    "load_weights",
    "read_clock",
    "read_members",
    "save_best",
    "save_state",
]

_FORMAT, _VERSION = "lfads-torch state", 1
_BUFFERS = {
    "weights": "weights",
    "moment1": "moment1",
    "moment2": "moment2",
    "best": "best_weights",
}


@dataclass(frozen=True)
class StateFile:
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class BestModels:
    """Weights to keep, one row per member, with what they were trained by when they were best."""

    weights: Float[Tensor, "K n"]
    hyperparameters: Hyperparameters
    score: Float[Tensor, " K"]
    epoch: Int[Tensor, " K"]  # -1: no epoch counted as best
    members: Int[Tensor, " K"]

    @classmethod
    def of(cls, state: PopulationState) -> BestModels:
        """Each member's best weights; the last ones of a member that has no best epoch yet."""
        clocks = state.clocks
        has_best = (clocks.best_epoch >= 0)[:, None]
        return cls(
            weights=torch.where(has_best, state.best_weights, state.weights),
            hyperparameters=state.hyperparameters,
            score=clocks.best_score,
            epoch=clocks.best_epoch,
            members=state.members,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything but the hyperparameters, by name."""
        names = ("weights", "score", "epoch", "members")
        return {name: getattr(self, name) for name in names}

    def take(self, rows: Tensor) -> BestModels:
        taken = {name: value[rows] for name, value in self.tensors().items()}
        return BestModels(hyperparameters=self.hyperparameters.take(rows), **taken)

    def named(self, layout: Layout, prefix: str = "") -> dict[str, Tensor]:
        """As they are stored in a file."""
        views = layout.views(self.weights)
        tensors = {f"{prefix}weights/{name}": view.contiguous() for name, view in views.items()}
        own = self.hyperparameters.as_dict()
        tensors |= {f"{prefix}hyperparameters/{name}": value for name, value in own.items()}
        tensors[f"{prefix}clock/best_epoch"] = self.epoch
        tensors[f"{prefix}clock/best_score"] = self.score
        tensors[f"{prefix}members"] = self.members
        return tensors


def save_state(
    path: Path,
    state: PopulationState,
    layout: Layout,
    *,
    seed: int,
    extras: Mapping[str, Tensor] | None = None,
) -> None:
    """Everything that exact resume needs; `extras` are stored beside it under their names.

    Raises OutputError; an older file then stays whole.
    """
    tensors = {
        f"{kind}/{name}": view.contiguous()
        for kind, attribute in _BUFFERS.items()
        for name, view in layout.views(getattr(state, attribute)).items()
    }
    own = state.hyperparameters.as_dict()
    tensors |= {f"hyperparameters/{name}": value for name, value in own.items()}
    tensors |= {f"clock/{name}": value for name, value in state.clocks.as_dict().items()}
    tensors["members"] = state.members
    _write(path, tensors | dict(extras or {}), _metadata(state, seed))


def save_best(
    path: Path,
    state: PopulationState,
    layout: Layout,
    *,
    seed: int,
    models: BestModels | None = None,
    extras: Mapping[str, Tensor] | None = None,
) -> None:
    """The models to infer with: each member's best, or those given. Raises OutputError."""
    models = BestModels.of(state) if models is None else models
    _write(path, models.named(layout) | dict(extras or {}), _metadata(state, seed))


def copy_best(path: Path, target: Path, *, keeps: Callable[[str], bool]) -> None:
    """A best file with these tensors alone, by name. Raises RunError, or OutputError."""
    stored = _read(path, torch.device("cpu"))
    kept = {name: value for name, value in stored.tensors.items() if keeps(name)}
    _write(target, kept, dict(stored.metadata))


def load_best(path: Path, layout: Layout, device: torch.device, *, prefix: str = "") -> BestModels:
    """The models of a best file, or of a state file where they are stored as extras."""
    stored = _read(path, device)
    own = _hyperparameters(stored, path, prefix=prefix)
    found = {
        "weights": _flat(stored, f"{prefix}weights", layout, path),
        "score": _entry(stored, f"{prefix}clock/best_score", path),
        "epoch": _entry(stored, f"{prefix}clock/best_epoch", path),
        "members": _entry(stored, f"{prefix}members", path),
    }
    try:
        _require_rows(found["members"], {**own, **found})
    except ValueError as error:
        raise _incomplete(path, error) from error
    return BestModels(hyperparameters=Hyperparameters.of(own), **found)


def load_extras(path: Path, device: torch.device, *, prefix: str) -> dict[str, Tensor]:
    """The extras of a state file whose names begin with the prefix, without it."""
    stored = _read(path, device).tensors
    return {
        name.removeprefix(prefix): value
        for name, value in stored.items()
        if name.startswith(prefix)
    }


def load_state(
    path: Path, layout: Layout, device: torch.device, *, own: OwnSettings | None = None
) -> PopulationState:
    """The state as it was saved. Raises RunError where weights are missing or of another shape.

    Of a plug-in that had no numbers of every member's own then, `own` gives those it has now.
    """
    stored = _read(path, device)
    buffers = {attribute: _flat(stored, kind, layout, path) for kind, attribute in _BUFFERS.items()}
    names = Clocks.start(1, device).as_dict()
    try:
        found = _hyperparameters(stored, path)
        clocks = {name: stored.tensors[f"clock/{name}"] for name in names}
        members = stored.tensors["members"]
        _require_rows(members, {**buffers, **found, **clocks})
        numbers = Hyperparameters.of(found)
        return PopulationState(
            **buffers,
            hyperparameters=numbers if own is None else numbers.filled(own),
            clocks=Clocks(**clocks),
            members=members,
            step=int(stored.metadata["step"]),
            epoch=int(stored.metadata["epoch"]),
        )
    except (KeyError, ValueError) as error:
        raise _incomplete(path, error) from error


def load_weights(path: Path, layout: Layout, device: torch.device) -> tuple[Tensor, Tensor]:
    """Flat weights [P, n] and the members' ids [P] of a state or best file."""
    stored = _read(path, device)
    weights = _flat(stored, "weights", layout, path)
    return weights, _entry(stored, "members", path)


def read_members(path: Path, device: torch.device) -> list[int]:
    """The members' ids of a state or best file."""
    members: list[int] = _entry(_read(path, device), "members", path).tolist()
    return members


def read_clock(path: Path, name: str, device: torch.device) -> Tensor:
    """One clock [P] of a state or best file."""
    return _entry(_read(path, device), f"clock/{name}", path)


def _entry(stored: StateFile, name: str, path: Path) -> Tensor:
    try:
        return stored.tensors[name]
    except KeyError as error:
        raise _incomplete(path, error) from error


def _hyperparameters(stored: StateFile, path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    start = f"{prefix}hyperparameters/"
    found = {
        name.removeprefix(start): value
        for name, value in stored.tensors.items()
        if name.startswith(start)
    }
    try:
        return Hyperparameters.complete(found)
    except KeyError as error:
        raise _incomplete(path, KeyError(f"{start}{error.args[0]}")) from error


def _require_rows(members: Tensor, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError where a tensor has not one row per member."""
    n = members.numel()
    for name, value in {"members": members, **tensors}.items():
        if value.ndim == 0 or value.shape[0] != n:
            raise ValueError(f"{name!r} has the shape {tuple(value.shape)}; there are {n} members")


def _incomplete(path: Path, error: Exception) -> RunError:
    return RunError(
        f"{path}: the state is incomplete or was changed ({error}); one that `lfads` wrote is "
        "needed. Restore it from a copy, or fit again."
    )


def _metadata(state: PopulationState, seed: int) -> dict[str, str]:
    return {
        "format": _FORMAT,
        "format_version": str(_VERSION),
        "epoch": str(state.epoch),
        "step": str(state.step),
        "seed": str(seed),
        "members": json.dumps(state.members.tolist()),
    }


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    try:
        # The run's lock keeps others out. safetensors writes through a file .tmp* of its own in
        # this folder, which stays behind when the process is killed meanwhile.
        for left in path.parent.glob(".tmp*"):
            left.unlink(missing_ok=True)
        with atomic_path(path, has_one_writer=True) as part:
            save_file({name: value.cpu() for name, value in tensors.items()}, part, metadata)
    except Exception as error:  # safetensors wraps a full disk in an error class of its own
        known = error if isinstance(error, OutputError) else output_error(path, error)
        stood = (
            "The checkpoint that stood there before is untouched: `lfads resume` goes on from it."
            if path.is_file()
            else "`lfads resume` goes on from the last checkpoint, or begins anew without one."
        )
        raise OutputError(f"{known} {stood}") from error


def _read(path: Path, device: torch.device) -> StateFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(device)) as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path}: no state can be read ({error}). Is this a run folder, and was it copied "
            "whole?"
        ) from error
    if metadata.get("format") != _FORMAT or not _is_known(metadata.get("format_version")):
        raise FormatError(
            f"{path}: found format {metadata.get('format')!r}, version "
            f"{metadata.get('format_version')!r}; needed {_FORMAT!r}, version {_VERSION} at most. "
            "A newer file needs a newer lfads-torch."
        )
    return StateFile(tensors, metadata)


def _is_known(version: str | None) -> bool:
    return version is not None and version.isdecimal() and int(version) <= _VERSION


def _flat(stored: StateFile, kind: str, layout: Layout, path: Path) -> Tensor:
    """The named weights joined into one buffer, in the layout's order."""
    parts = []
    for spec in layout.specs:
        value = stored.tensors.get(f"{kind}/{spec.name}")
        if value is None or tuple(value.shape[1:]) != spec.shape:
            found = "nothing" if value is None else f"shape {tuple(value.shape[1:])}"
            raise RunError(
                f"{path}: for the weight {spec.name!r} there is {found}; the model needs "
                f"{spec.shape}. The run's settings and its checkpoint do not belong together."
            )
        parts.append(value.flatten(1))
    rows = sorted({len(part) for part in parts})
    if len(rows) > 1:
        listed = " and ".join(str(n) for n in rows)
        raise _incomplete(path, ValueError(f"its weights {kind!r} are of {listed} members"))
    return torch.cat(parts, 1)
