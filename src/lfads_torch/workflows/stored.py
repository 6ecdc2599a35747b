"""Reading back what a run folder holds: settings, recording with its split, trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError, RunError, SettingsError
from lfads_torch.plugins import unnamed_file
from lfads_torch.workflows.model_card import read_card

if TYPE_CHECKING:
    from torch import Tensor

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.run_record import RunRecord
    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.model_card import ModelCard

__all__ = [
    "TrainedModel",
    "betas_of",
    "load_model",
    "load_models",
    "members_of",
    "read_options_of",
    "read_recording_of",
    "read_settings_of",
]


def read_settings_of(run: RunFolder) -> Settings:
    """The resolved settings, checked again. RunError where a plug-in of the run is not there."""
    from lfads_torch.config.read import read_settings
    from lfads_torch.workflows.plugin_record import came_from

    try:
        return read_settings(run.settings_path)
    except SettingsError as error:
        origin = came_from(run.read_record().plugins, str(error))
        if not origin:
            raise
        raise RunError(f"{run.path}: {error}{origin}") from error


def read_recording_of(run: RunFolder, data_path: Path | None = None) -> Recording:
    """The recording a run was trained on, with the run's split; `data_path` says where it is now.

    Raises RunError where the file is gone or its content has changed.
    """
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.data.formats.choose import read_recording, within_reach
    from lfads_torch.data.split_file import read_split

    record = run.read_record()
    stored = run.path / "recording.h5"
    path = data_path or (Path(record.data_path) if record.data_path else stored)
    if stored.exists() and data_path is None:
        path = stored
    if not path.exists():
        raise RunError(
            f"{run.path}: its recording {path} is not there any more. Say where it is now "
            "(--data; data_path in Python)."
        )
    recording = read_recording(path, options=within_reach(path, read_options_of(run)))
    if record.data_fingerprint and fingerprint(recording) != record.data_fingerprint:
        raise RunError(
            f"{path}: its content is not what {run.path} was trained on (the fingerprint differs). "
            "Give the original file (--data; data_path in Python), or start a new run."
        )
    if (run.path / "model.json").is_file():
        # A file without a session of its own has its name, which may have changed since.
        recording = replace(recording, session=read_card(run).session)
    return recording.with_split(read_split(run.split_path, recording))


def read_options_of(run: RunFolder) -> ReadOptions:
    """How the run's file was read: the names of its arrays, and what it does not say itself."""
    from lfads_torch.data.formats.base import ReadOptions

    stored = dict(run.read_record().read_options)
    reader = stored.get("reader")
    if reader is not None and (file := unnamed_file(reader)) is not None:
        raise RunError(
            f"{run.path}: its recording was read by {reader!r}, found only as {file}, in the "
            "folder where the command was started. A run does not choose what is run there; if "
            "you know the file, name its folder (--plugin-path, or PYTHONPATH)."
        )
    for name in ("behaviour", "signals"):
        if name in stored:
            stored[name] = tuple(stored[name])
    return ReadOptions(**stored)


@dataclass(frozen=True)
class TrainedModel:
    """One member's best weights, ready to be applied to a recording."""

    assembly: Assembly
    weights: Tensor  # [1, n]
    member: int
    hyperparameters: Hyperparameters  # [1] each: as they were when the weights were best
    best_score: float  # smoothed validation score of these weights; inf where no epoch counted
    card: ModelCard
    run_path: Path

    @property
    def settings(self) -> Settings:
        return self.assembly.settings


def load_model(
    run: RunFolder, recording: Recording, *, member: int | None = None, kernels: str = "auto"
) -> TrainedModel:
    """The best member of a run (or the one asked for), with the recording's trials on the device.

    The recording may be a new one with the same units; it then needs no split.
    """
    from lfads_torch.workflows.kept_models import kept_models

    chosen = kept_models(run)[0].member if member is None else member
    (model,) = load_models(run, recording, (chosen,), kernels=kernels)
    return model


def load_models(
    run: RunFolder, recording: Recording, members: Sequence[int], *, kernels: str = "auto"
) -> tuple[TrainedModel, ...]:
    """These members of a run, in this order; as `load_model`, with one copy of the trials."""
    import torch

    from lfads_torch.training.checkpoint import load_best
    from lfads_torch.workflows.assemble import assemble
    from lfads_torch.workflows.device import choose_device

    settings, card = read_settings_of(run), read_card(run)
    # Weights of the read-out are named after the session that the model was trained on.
    aligned = replace(card.aligned(recording), session=card.session)
    recording = with_model_split(aligned, card)
    device = choose_device(settings.run)
    if settings.run.precision == "bf16":
        # What was trained is applied in float32: the weights are, and any machine can.
        settings = replace(settings, run=replace(settings.run, precision="float32"))
    assembly = assemble(recording, settings, kernels=kernels, device=device)
    best = load_best(run.best_checkpoint_path, assembly.task.layout, device)
    there = best.members.tolist()
    missing = [member for member in members if member not in there]
    if missing:
        raise RunError(f"{run.path}: there is no member {missing[0]}; there are {there}.")
    rows = [torch.tensor([there.index(member)], device=device) for member in members]
    return tuple(
        TrainedModel(
            assembly=_of_members(assembly, chosen.hyperparameters),
            weights=chosen.weights,
            member=member,
            hyperparameters=chosen.hyperparameters,
            best_score=float(chosen.score),
            card=card,
            run_path=run.path,
        )
        for member, chosen in zip(members, map(best.take, rows), strict=True)
    )


def _of_members(assembly: Assembly, hyperparameters: Hyperparameters) -> Assembly:
    """The same, with these members' own numbers of plug-ins."""
    own = hyperparameters.filled(assembly.settings.own).own
    return replace(assembly, task=replace(assembly.task, own_values=own)) if own else assembly


def members_of(run: RunFolder) -> list[int]:
    """Ids of the models that a run keeps: its members; of a search, the founders of its lines."""
    from lfads_torch.workflows.kept_models import every_model

    return [model.member for model in every_model(run) if model.is_of_line]


def betas_of(model: TrainedModel, record: RunRecord) -> dict[str, float | None]:
    """Weights of the divergences of this member, in units of the evidence bound.

    The record has those of the run, and of a search those of its best member: beta goes with the
    scale.
    """
    recorded = dict(record.beta)
    winner = record.search.get("best", {}).get("hyperparameters")
    if winner is None:
        return recorded
    own = model.hyperparameters
    scales = {
        "initial_condition": (
            own.kl_initial_condition_scale,
            winner["loss.kl_initial_condition_scale"],
        ),
        "inputs": (own.kl_input_scale, winner["loss.kl_input_scale"]),
    }
    return {
        name: recorded[name] * float(mine) / winners if winners else recorded[name]
        for name, (mine, winners) in scales.items()
        if recorded.get(name) is not None
    }


def with_model_split(recording: Recording, card: ModelCard) -> Recording:
    """The recording with the model's encoded units and bins; its own trial sets, or `unused`."""
    import numpy as np

    from lfads_torch.data.recording import UNUSED, Split

    is_encoded = np.array(card.is_encoded)
    if recording.split is not None:
        if not np.array_equal(recording.split.is_encoded, is_encoded):
            raise DataError(
                f"{recording.session}: the split holds out other units than the model was trained "
                "with; leave the split out, or use the run's own."
            )
        return recording.with_split(replace(recording.split, n_encoded_bins=card.n_encoded_bins))
    nobody = np.full(recording.n_trials, UNUSED)
    return recording.with_split(
        Split(trial_set=nobody, is_encoded=is_encoded, n_encoded_bins=card.n_encoded_bins)
    )
