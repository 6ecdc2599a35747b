"""Populations small enough to train in a test: odd sizes, held-out units, forward bins, inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.loop import EpochReport, TrainingData, advance
from lfads_torch.training.resident import ResidentTrials, known_of, reside
from lfads_torch.training.settings import AugmentationSettings, TrainingSettings
from lfads_torch.training.state import PopulationState, new_state
from lfads_torch.training.task import Computation, Task, TaskData, build_task

__all__ = ["Case", "epochs", "same_bits", "state_tensors"]

CPU = torch.device("cpu")
MODEL = ModelSettings(
    ic_encoder_size=3,
    controller_encoder_size=3,
    controller_size=3,
    generator_size=5,
    n_factors=3,
    n_inferred_inputs=1,
    initial_condition_size=3,
)
LOSS = LossSettings(kl_ramp_increase=1, l2_ramp_increase=1)  # both ramps end in epoch 1
TRAINING = TrainingSettings(batch_size=5, epochs=100)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A recipe of data, model and training; numbers are drawn when asked for."""

    n_train: int = 11
    n_valid: int = 5
    n_bins: int = 7
    n_encoded_bins: int = 6
    n_units: int = 5
    encoded_units: tuple[int, ...] = (0, 2, 3, 4)
    n_external_inputs: int = 1
    unit_order: tuple[int, ...] = (0, 1, 2, 3, 4)  # unit n of the file is drawn as this one
    missing_share: float = 0.0
    model: ModelSettings = MODEL
    loss: LossSettings = LOSS
    training: TrainingSettings = TRAINING
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    dtype: torch.dtype = torch.float64
    seed: int = 3

    def with_training(self, **values: Any) -> Case:  # any setting of training
        return replace(self, training=replace(self.training, **values))

    def task(self) -> Task:
        session = SessionSizes(
            name="a", n_units=self.n_units, encoded_units=self.encoded_units, n_parameters=1
        )
        sizes = ModelSizes(
            n_bins=self.n_bins,
            n_encoded_bins=self.n_encoded_bins,
            sessions=(session,),
            n_external_inputs=self.n_external_inputs,
        )
        return build_task(
            self.model,
            self.loss,
            self.training,
            data=TaskData(
                sizes=sizes,
                bin_width_s=0.01,
                observations=(Poisson(),),
                readout_biases={"a": torch.linspace(-1.0, 0.5, self.n_units)},
            ),
            computation=Computation(choose_kernels("reference"), CPU, self.dtype),
            augmentation=self.augmentation,
        )

    def counts(self) -> NDArray[np.float64]:
        """Counts of all trials, the training ones first, NaN where missing."""
        random = np.random.default_rng(0)
        shape = (self.n_train + self.n_valid, self.n_bins, self.n_units)
        counts = random.poisson(0.8, shape).astype(np.float64)
        counts[random.random(shape) < self.missing_share] = np.nan
        return counts[:, :, list(self.unit_order)]

    def external(self) -> NDArray[np.float64]:
        shape = (self.n_train + self.n_valid, self.n_bins, self.n_external_inputs)
        return np.random.default_rng(1).normal(size=shape)

    def trials(self, order: NDArray[np.int64] | None = None) -> ResidentTrials:
        """All trials; in another order of the file, each keeps its number."""
        rows = np.arange(self.n_train + self.n_valid) if order is None else order
        return reside(
            self.counts()[rows],
            Poisson(),
            known=known_of(
                len(rows),
                device=CPU,
                dtype=self.dtype,
                external_inputs=self.external()[rows],
                rows=rows,
            ),
            ic_bins=self.model.ic_bins,
            dtype=self.dtype,
        )

    def data(self) -> TrainingData:
        trials = self.trials()
        n = self.n_train
        return TrainingData(
            (trials.take(torch.arange(n)),), (trials.take(torch.arange(n, n + self.n_valid)),)
        )

    def state(self, members: tuple[int, ...] = (0,), **own: list[float]) -> PopulationState:
        """A new population with these ids; `own` gives hyperparameters one value per member."""
        task = self.task()
        hyperparameters = Hyperparameters.repeated(
            self.loss,
            self.augmentation,
            self.training,
            n_members=len(members),
            device=CPU,
            dtype=self.dtype,
        )
        values = {name: torch.tensor(value, dtype=self.dtype) for name, value in own.items()}
        return new_state(
            task.layout,
            replace(hyperparameters, **values),
            seed=self.seed,
            members=torch.tensor(members),
            dtype=self.dtype,
        )


def epochs(
    case: Case,
    state: PopulationState,
    n: int,
    *,
    after: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """Train for n epochs; `after` is called after each, and may change the state."""
    reports: list[EpochReport] = []

    def observe(report: EpochReport) -> None:
        reports.append(report)
        if after is not None:
            after(report)

    advance(state, case.task(), case.data(), seed=case.seed, n_epochs=n, observe=observe)
    return reports


def state_tensors(state: PopulationState, member: int | None = None) -> dict[str, Tensor]:
    """Every tensor of a state (or of one slot of it) by name, copied."""
    tensors = {
        "weights": state.weights,
        "moment1": state.moment1,
        "moment2": state.moment2,
        "best_weights": state.best_weights,
        "members": state.members,
        **{f"own.{name}": value for name, value in state.hyperparameters.as_dict().items()},
        **{f"clock.{name}": value for name, value in state.clocks.as_dict().items()},
    }
    if member is not None:
        tensors = {name: value[member] for name, value in tensors.items()}
    return {name: value.clone() for name, value in tensors.items()}


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that differ in any bit (NaN equals NaN)."""
    assert left.keys() == right.keys()
    return [
        name
        for name, value in left.items()
        if value.shape != right[name].shape
        or value.numpy().tobytes() != right[name].numpy().tobytes()
    ]
