"""From recordings and resolved settings to what the training loop takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.config.scales import published_scales
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError
from lfads_torch.plugin_returns import returned_tensor

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Split
    from lfads_torch.loss.observations.base import Observation, UnitMoments
    from lfads_torch.model.sizes import ModelSizes
    from lfads_torch.model.weights import GivenStart, Layout
    from lfads_torch.training.filed import Trials
    from lfads_torch.training.loop import TrainingData
    from lfads_torch.training.state import PopulationState
    from lfads_torch.training.task import SessionTreatment, Task
    from lfads_torch.workflows.sessions.starts import Alignment

__all__ = [
    "Assembly",
    "SessionTrials",
    "Start",
    "assemble",
    "layout_of",
    "start_state",
    "unit_moments",
]

_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class SessionTrials:
    """One session's trials on the device, in the file's order, and its split."""

    trials: Trials
    split: Split


@dataclass(frozen=True)
class Assembly:
    """Recordings made ready: the task, and the trials of its sessions."""

    task: Task
    sessions: tuple[SessionTrials, ...]
    settings: Settings
    data_sizes: DataSizes

    @property
    def trials(self) -> Trials:
        """Of the first session, which in inference is the only one."""
        return self.sessions[0].trials

    @property
    def split(self) -> Split:
        """As `trials`."""
        return self.sessions[0].split

    @property
    def n_trials(self) -> int:
        return sum(session.trials.n_trials for session in self.sessions)

    @property
    def has_validation(self) -> bool:
        """False only for a refit on all trials: training trials are scored then."""
        return any(len(session.split.trials("valid")) for session in self.sessions)

    def training_data(self) -> TrainingData:
        from lfads_torch.training.loop import TrainingData

        scored = "valid" if self.has_validation else "train"
        return TrainingData(self._sets("train"), self._sets(scored))

    def first_trials(self, name: str, n: int) -> tuple[Trials, ...]:
        """At most n trials of a set, of every session."""
        return self._sets(name, slice(n))

    def _sets(self, name: str, part: slice = slice(None)) -> tuple[Trials, ...]:
        import torch

        device = self.task.device
        return tuple(
            session.trials.take(torch.as_tensor(session.split.trials(name)[part], device=device))
            for session in self.sessions
        )


def assemble(
    recordings: Recording | Sequence[Recording],
    settings: Settings,
    *,
    kernels: str = "auto",
    device: torch.device,
    start: Start | None = None,
) -> Assembly:
    """Build the task from the sizes of the recordings, each of which must carry its split.

    `start` says where weights begin, where that is not as usual, and which are trained; a model
    that is only applied needs none.
    """
    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.training.task import Computation, TaskData, build_task
    from lfads_torch.workflows.device import number_type
    from lfads_torch.workflows.families import observation_for
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    given = (recordings,) if isinstance(recordings, Recording) else tuple(recordings)
    observations = {each.session: observation_for(each, settings.loss) for each in given}
    dtype, splits = number_type(settings.run), [_split_of(each) for each in given]
    biases = {
        each.session: _initial_bias(
            observations[each.session], unit_moments(each.counts[split.trials("train")])
        )
        for each, split in zip(given, splits, strict=True)
    }
    sizes = joint_sizes(given, settings)
    model_sizes = _model_sizes(given, settings, observations)
    chosen = choose_kernels(kernels, device=device, dtype=dtype, precision=settings.run.precision)
    task = build_task(
        settings.model,
        _published(settings, sizes).loss,
        settings.training,
        data=TaskData(
            sizes=model_sizes,
            bin_width_s=given[0].bin_width_s,
            observations=tuple(observations[each.session] for each in given),
            readout_biases={
                each.name: each.existing(biases[each.name].flatten())
                for each in model_sizes.sessions
            },
        ),
        computation=Computation(chosen, device, dtype),
        augmentation=settings.augmentation,
        treatment=_treatment(settings, start, observations, biases),
    )
    numbers = _row_numbers(given)
    sessions = tuple(
        SessionTrials(_resident(each, settings, observations[each.session], task, rows), split)
        for each, split, rows in zip(given, splits, numbers, strict=True)
    )
    return Assembly(task, sessions, settings, sizes)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What training begins with: an alignment of the sessions, or weights of another run."""

    alignment: Alignment | None = None
    given: Mapping[str, GivenStart] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # beginnings of the names of what is trained; none: everything


def _initial_bias(family: Observation, moments: UnitMoments) -> Tensor:
    shape = (family.n_parameters, len(moments.mean))
    bias = family.initial_bias(moments)
    return returned_tensor(family, "initial_bias", bias, shape, axes="K N", finite=True)


def _treatment(
    settings: Settings,
    start: Start | None,
    observations: Mapping[str, Observation],
    biases: Mapping[str, Tensor],
) -> SessionTreatment:
    from lfads_torch.training.task import SessionTreatment

    sessions = settings.sessions
    start = start or Start()
    trained = {"readin.": sessions.train_readin, "readout.": sessions.train_readout}
    aligned = start.alignment
    return SessionTreatment(
        alternates=sessions.batches == "alternating",
        frozen=tuple(name for name, is_trained in trained.items() if not is_trained),
        only=start.only,
        starts={
            **({} if aligned is None else aligned.starts(settings, observations, biases)),
            **start.given,
        },
    )


def _split_of(recording: Recording) -> Split:
    if recording.split is None:
        raise DataError(f"{recording.session}: the recording carries no split; split it first.")
    return recording.split


def _row_numbers(recordings: Sequence[Recording]) -> list[NDArray[np.int64]]:
    """Numbers of the trials for the random streams; of several sessions they begin by its name.

    So a trial's noise depends neither on which other sessions there are nor on their order, as long
    as there are others.
    """
    from lfads_torch.training.streams import site_key

    if len(recordings) == 1:
        return [np.arange(recordings[0].n_trials)]
    return [
        (site_key(f"session.{each.session}") + np.arange(each.n_trials)) % 2**32
        for each in recordings
    ]


def _resident(
    recording: Recording,
    settings: Settings,
    observation: Observation,
    task: Task,
    rows: NDArray[np.int64],
) -> Trials:
    from lfads_torch.training.filed import file_trials
    from lfads_torch.training.resident import known_of, reside

    known = known_of(
        recording.n_trials,
        device=task.device,
        dtype=task.dtype,
        external_inputs=recording.external_inputs,
        trial_inputs=recording.trial_inputs,
        rows=rows,
        n_trial_bins=recording.n_trial_bins,
    )
    ic_bins, dtype = settings.model.first_generated_bin, task.dtype
    if recording.in_file is not None:
        return file_trials(
            recording.in_file, observation, known=known, ic_bins=ic_bins, dtype=dtype
        )
    return reside(recording.counts, observation, known=known, ic_bins=ic_bins, dtype=dtype)


def layout_of(recordings: Sequence[Recording], settings: Settings) -> Layout:
    """Names and shapes of the weights of the model that these recordings and settings make.

    Where they start is not said: the bias of a read-out needs the counts.
    """
    import torch

    from lfads_torch.model.weights import Layout
    from lfads_torch.training.task import parts_of_model
    from lfads_torch.workflows.families import observation_for

    observations = {each.session: observation_for(each, settings.loss) for each in recordings}
    sizes = _model_sizes(recordings, settings, observations)
    zeros = {each.name: torch.zeros(each.n_outputs) for each in sizes.sessions}
    _, specs = parts_of_model(
        settings.model, settings.loss, sizes, zeros, bin_width_s=recordings[0].bin_width_s
    )
    return Layout(tuple(specs))


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


def _published(settings: Settings, sizes: DataSizes) -> Settings:
    """The settings with divergence scales as they enter the loss."""
    scales = published_scales(settings, sizes)
    loss = replace(
        settings.loss,
        kl_initial_condition_scale=scales.initial_condition,
        kl_input_scale=scales.inputs,
        kl_scale_unit="published",
    )
    return replace(settings, loss=loss)


def _model_sizes(
    recordings: Sequence[Recording],
    settings: Settings,
    observations: Mapping[str, Observation],
) -> ModelSizes:
    from lfads_torch.loss.observations.several import parameter_places
    from lfads_torch.model.sizes import ModelSizes, SessionSizes

    external, of_trial = recordings[0].external_inputs, recordings[0].trial_inputs
    sessions = tuple(
        SessionSizes(
            name=recording.session,
            n_units=recording.n_units,
            encoded_units=tuple(int(n) for n in np.flatnonzero(_split_of(recording).is_encoded)),
            n_parameters=observations[recording.session].n_parameters,
            parameter_places=parameter_places(observations[recording.session], recording.n_units),
        )
        for recording in recordings
    )
    return ModelSizes(
        n_bins=recordings[0].n_bins,
        n_encoded_bins=_split_of(recordings[0]).n_encoded_bins,
        sessions=sessions,
        n_external_inputs=0 if external is None else int(external.shape[2]),
        n_trial_inputs=0 if of_trial is None else int(of_trial.shape[1]),
        readin_size=settings.sessions.readin_size or None,
    )


def unit_moments(counts: NDArray[Any]) -> UnitMoments:
    """Mean, variance, number and share of zeros of the present training entries of each unit.

    In blocks of trials, so that counts that stay in a file give the same numbers.
    """
    import torch

    from lfads_torch.loss.observations.base import UnitMoments

    n_units = counts.shape[-1]
    n_entries, n_zero = np.zeros(n_units, dtype=np.int64), np.zeros(n_units, dtype=np.int64)
    total, squares = np.zeros(n_units), np.zeros(n_units)
    for values, present in _filled_blocks(counts):
        n_entries += present.sum(0)
        n_zero += (present & (values == 0.0)).sum(0)
        total += values.sum(0)
    mean = total / np.maximum(n_entries, 1)
    for values, present in _filled_blocks(counts):
        squares += np.where(present, (values - mean) ** 2, 0.0).sum(0)
    variance, zero_share = (each / np.maximum(n_entries, 1) for each in (squares, n_zero))
    moments = (mean, variance, n_entries, zero_share)
    return UnitMoments(*(torch.as_tensor(each, dtype=torch.float64) for each in moments))


def _filled_blocks(
    counts: NDArray[Any],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Values [bins, N], 0 where they are missing, and which are present."""
    size = max(1, _VALUES_AT_ONCE // max(counts.shape[1] * counts.shape[2], 1))
    for start in range(0, len(counts), size):
        block = np.asarray(counts[start : start + size])
        values = block.reshape(-1, counts.shape[-1]).astype(np.float64)
        present = ~np.isnan(values)
        yield np.where(present, values, 0.0), present
