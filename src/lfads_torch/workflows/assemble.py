"""From a recording and resolved settings to what the training loop takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.config.scales import published_scales
from lfads_torch.config.sizes import sizes_of
from lfads_torch.errors import DataError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording, Split
    from lfads_torch.loss.observations.base import Observation, UnitMoments
    from lfads_torch.model.sizes import ModelSizes
    from lfads_torch.training.loop import TrainingData
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import Task

__all__ = ["Assembly", "assemble", "start_state"]


@dataclass(frozen=True)
class Assembly:
    """A recording made ready: the task, and its trials on the device in the file's order."""

    task: Task
    trials: ResidentTrials
    split: Split
    settings: Settings
    data_sizes: DataSizes

    @property
    def has_validation(self) -> bool:
        """False only for a refit on all trials: training trials are scored then."""
        return len(self.split.trials("valid")) > 0

    def training_data(self) -> TrainingData:
        from lfads_torch.training.loop import TrainingData

        scored = "valid" if self.has_validation else "train"
        return TrainingData((self._set("train"),), (self._set(scored),))

    def _set(self, name: str) -> ResidentTrials:
        import torch

        positions = torch.as_tensor(self.split.trials(name), device=self.task.device)
        return self.trials.take(positions)


def assemble(
    recording: Recording, settings: Settings, *, kernels: str = "auto", device: torch.device
) -> Assembly:
    """Build the task from the recording's sizes. The recording must carry its split."""
    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.loss.observations.choose import choose_observation
    from lfads_torch.training.resident import reside
    from lfads_torch.training.task import build_task
    from lfads_torch.workflows.device import number_type

    split = recording.split
    if split is None:
        raise DataError(f"{recording.session}: the recording carries no split; split it first.")
    observation = choose_observation(settings.loss.observation)
    dtype = number_type(settings.run)
    trials = reside(
        recording.counts,
        observation,
        ic_bins=settings.model.first_generated_bin,
        device=device,
        dtype=dtype,
        external_inputs=recording.external_inputs,
    )
    moments = _moments(recording.counts[split.trials("train")])
    task = build_task(
        settings.model,
        _published(recording, settings).loss,
        settings.training,
        sizes=_model_sizes(recording, split, observation),
        bin_width_s=recording.bin_width_s,
        observations=(observation,),
        readout_biases={recording.session: observation.initial_bias(moments).flatten()},
        kernels=choose_kernels(kernels, device=device, dtype=dtype),
        device=device,
        dtype=dtype,
        augmentation=settings.augmentation,
    )
    return Assembly(task, trials, split, settings, sizes_of(recording))


def start_state(assembly: Assembly, *, first_member: int = 0) -> PopulationState:
    """A new population: `run.n_seeds` restarts with permanent ids from `first_member` on."""
    import torch

    from lfads_torch.training.hyperparameters import Hyperparameters
    from lfads_torch.training.state import new_state

    task, settings = assembly.task, assembly.settings
    n_members = settings.run.n_seeds
    own = Hyperparameters.repeated(
        task.loss,
        settings.augmentation,
        settings.training,
        n_members=n_members,
        device=task.device,
        dtype=task.dtype,
    )
    members = torch.arange(first_member, first_member + n_members, device=task.device)
    return new_state(task.layout, own, seed=settings.run.seed, members=members, dtype=task.dtype)


def _published(recording: Recording, settings: Settings) -> Settings:
    """The settings with divergence scales as they enter the loss."""
    scales = published_scales(settings, sizes_of(recording))
    loss = replace(
        settings.loss,
        kl_initial_condition_scale=scales.initial_condition,
        kl_input_scale=scales.inputs,
        kl_scale_unit="published",
    )
    return replace(settings, loss=loss)


def _model_sizes(recording: Recording, split: Split, observation: Observation) -> ModelSizes:
    from lfads_torch.model.sizes import ModelSizes, SessionSizes

    external = recording.external_inputs
    session = SessionSizes(
        name=recording.session,
        n_units=recording.n_units,
        encoded_units=tuple(int(n) for n in np.flatnonzero(split.is_encoded)),
        n_parameters=observation.n_parameters,
    )
    return ModelSizes(
        n_bins=recording.n_bins,
        n_encoded_bins=split.n_encoded_bins,
        sessions=(session,),
        n_external_inputs=0 if external is None else int(external.shape[2]),
    )


def _moments(counts: NDArray[np.float64]) -> UnitMoments:
    """Mean, variance and number of the present training entries of each unit."""
    import torch

    from lfads_torch.loss.observations.base import UnitMoments

    values = counts.reshape(-1, counts.shape[-1]).astype(np.float64)
    present = ~np.isnan(values)
    n_entries = present.sum(0)
    filled = np.where(present, values, 0.0)
    mean = filled.sum(0) / np.maximum(n_entries, 1)
    squared = np.where(present, (values - mean) ** 2, 0.0)
    variance = squared.sum(0) / np.maximum(n_entries, 1)
    return UnitMoments(
        *(torch.as_tensor(each, dtype=torch.float64) for each in (mean, variance, n_entries))
    )
