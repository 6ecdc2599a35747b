"""Tasks on the shapes of the maze recording for gpu_check.py, and the same in miniature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.loop import TrainingData
from lfads_torch.training.resident import known_of, reside
from lfads_torch.training.settings import AugmentationSettings, TrainingSettings
from lfads_torch.training.state import PopulationState, new_state
from lfads_torch.training.task import Computation, Task, TaskData, build_task

__all__ = ["MAZE", "TINY", "Shapes", "relative_error"]

SEED = 1
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shapes:
    """Sizes of a recording, a model and a population."""

    members: int
    train: int
    valid: int
    batch: int
    encoded_bins: int
    bins: int
    encoded_units: int
    units: int
    model: ModelSettings
    gflop: float  # of a training step of one member

    def settings(self) -> tuple[ModelSettings, LossSettings, TrainingSettings]:
        return self.model, LossSettings(), TrainingSettings(batch_size=self.batch)

    def task(self, backend: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Task:
        session = SessionSizes(
            name="maze", n_units=self.units, encoded_units=tuple(range(self.encoded_units)),
            n_parameters=1,
        )  # fmt: skip
        return build_task(
            *self.settings(),
            data=TaskData(
                sizes=ModelSizes(
                    n_bins=self.bins, n_encoded_bins=self.encoded_bins, sessions=(session,)
                ),
                bin_width_s=0.005,
                observations=(Poisson(),),
                readout_biases={"maze": torch.full((self.units,), -3.0)},
            ),
            computation=Computation(
                choose_kernels(backend, device=device, dtype=dtype), device, dtype
            ),
            augmentation=AugmentationSettings(),
        )

    def state(self, task: Task, members: int) -> PopulationState:
        _, loss, training = self.settings()
        own = Hyperparameters.repeated(
            loss, AugmentationSettings(), training,
            n_members=members, device=task.device, dtype=task.dtype,
        )  # fmt: skip
        ids = torch.arange(members, device=task.device)
        return new_state(task.layout, own, seed=SEED, members=ids, dtype=task.dtype)

    def data(self, task: Task) -> TrainingData:
        """Poisson counts of smooth random rates: something to learn, without a file."""
        random = np.random.default_rng(0)
        n = self.train + self.valid
        time = np.linspace(0, 2 * np.pi, self.bins)[:, None]
        phase = random.uniform(0, 2 * np.pi, (n, 1, 1))
        rates = 0.05 * np.exp(np.sin(time + phase + random.uniform(0, 6, (1, 1, self.units))))
        known = known_of(n, device=task.device, dtype=task.dtype)
        trials = reside(random.poisson(rates), Poisson(), known=known, ic_bins=0, dtype=task.dtype)
        first = torch.arange(n, device=task.device)
        return TrainingData(
            (trials.take(first[: self.train]),), (trials.take(first[self.train :]),)
        )

    def index(self, device: torch.device, members: int) -> tuple[Tensor, ...]:
        return (torch.arange(self.batch, device=device).expand(members, -1).contiguous(),)


MAZE = Shapes(
    20, 1721, 574, 256, 35, 45, 137, 182,
    ModelSettings(
        ic_encoder_size=64, controller_encoder_size=64, controller_size=64, generator_size=200,
        n_factors=100, n_inferred_inputs=4, initial_condition_size=64,
    ),
    21.5,
)  # fmt: skip
TINY = Shapes(
    2, 5, 2, 3, 2, 3, 4, 5,
    ModelSettings(
        ic_encoder_size=3, controller_encoder_size=3, controller_size=3, generator_size=5,
        n_factors=3, n_inferred_inputs=1, initial_condition_size=3,
    ),
    0.0,
)  # fmt: skip


def relative_error(found: Iterable[Tensor], truth: Iterable[Tensor]) -> float:
    """Of all tensors together, in Euclidean norm. NaN stays NaN, and passes no limit."""
    pairs = [(a.cpu().double(), b.cpu().double()) for a, b in zip(found, truth, strict=True)]
    error = sum(float((a - b).square().sum()) for a, b in pairs)
    return float((error / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5)
