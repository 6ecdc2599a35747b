"""Models small enough for a slow loop, with odd sizes and every weight away from zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.loss.observations.choose import choose_observation
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.resident import ResidentTrials, known_of, reside
from lfads_torch.training.settings import AugmentationSettings, TrainingSettings
from lfads_torch.training.state import PopulationState, new_state
from lfads_torch.training.streams import Streams
from lfads_torch.training.task import Computation, Task, TaskData, build_task

__all__ = ["KeyedNoise", "Tiny", "gradients_of_one_step"]

MODEL = ModelSettings(
    ic_encoder_size=4,
    controller_encoder_size=3,
    controller_size=5,
    generator_size=6,
    n_factors=3,
    n_inferred_inputs=2,
    initial_condition_size=3,
)
# Scales near one, so that every term of the loss shows in its value and its gradient.
LOSS = LossSettings(
    scale=1.0,
    kl_initial_condition_scale=0.3,
    kl_input_scale=0.2,
    l2_ic_encoder_scale=0.5,
    l2_controller_encoder_scale=0.0,
    l2_controller_scale=0.7,
    l2_generator_scale=2.0,
)
# A norm that never clips: then the first moment after one step is the gradient times 1 - beta1.
TRAINING = TrainingSettings(max_gradient_norm=1e30)


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A recipe: sizes of data and model. Nothing random is drawn before it is asked for."""

    n_bins: int = 9
    n_encoded_bins: int = 7
    n_units: int = 5
    encoded_units: tuple[int, ...] = (0, 2, 3)
    n_external_inputs: int = 2
    missing_share: float = 0.0
    observation: str = "poisson"
    kernels: str = "reference"
    dtype: torch.dtype = torch.float64
    model: Mapping[str, object] = field(default_factory=dict)
    loss: Mapping[str, object] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)
    augmentation: Mapping[str, object] = field(default_factory=dict)

    def task(self) -> Task:
        family = choose_observation(self.observation)
        session = SessionSizes(
            name="session",
            n_units=self.n_units,
            encoded_units=self.encoded_units,
            n_parameters=family.n_parameters,
        )
        return build_task(
            replace(MODEL, **self.model),
            replace(LOSS, **self.loss),
            replace(TRAINING, **self.training),
            data=TaskData(
                sizes=ModelSizes(
                    n_bins=self.n_bins,
                    n_encoded_bins=self.n_encoded_bins,
                    sessions=(session,),
                    n_external_inputs=self.n_external_inputs,
                ),
                bin_width_s=0.01,
                observations=(family,),
                readout_biases={"session": torch.full((family.n_parameters * self.n_units,), -0.5)},
            ),
            computation=Computation(choose_kernels(self.kernels), torch.device("cpu"), self.dtype),
        )

    def state(self, task: Task, members: Iterable[int] = (0,), *, seed: int = 3) -> PopulationState:
        """Every weight moved from its start by a number of the member's own."""
        ids = torch.tensor(list(members))
        own = Hyperparameters.repeated(
            task.loss,
            replace(
                AugmentationSettings(dropout_rate=0.0, coordinated_dropout_rate=0.0),
                **self.augmentation,
            ),
            task.training,
            n_members=len(ids),
            device=task.device,
            dtype=self.dtype,
        )
        state = new_state(task.layout, own, seed=seed, members=ids, dtype=self.dtype)
        moved = Streams(seed, ids).normal("moved", 0, None, task.layout.n)[:, 0]
        state.weights = state.weights + 0.3 * moved.to(self.dtype)
        return state

    def trials(self, n_trials: int = 4, *, seed: int = 5) -> ResidentTrials:
        """Poisson counts; NaN where missing, external inputs where the model has them."""
        random = torch.Generator().manual_seed(seed)
        shape = (n_trials, self.n_bins, self.n_units)
        counts = torch.poisson(torch.full(shape, 1.2, dtype=torch.float64), random)
        is_missing = torch.rand(shape, generator=random) < self.missing_share
        counts = torch.where(is_missing, torch.nan, counts)
        external = None
        if self.n_external_inputs:
            wide = (n_trials, self.n_bins, self.n_external_inputs)
            external = torch.randn(wide, generator=random, dtype=torch.float64).numpy()
        return reside(
            counts.numpy(),
            choose_observation(self.observation),
            known=known_of(
                n_trials, device=torch.device("cpu"), dtype=self.dtype, external_inputs=external
            ),
            ic_bins=int(str(self.model.get("ic_bins", 0))),
            dtype=self.dtype,
        )


class KeyedNoise:
    """Noise made once per site and kept in `drawn`, so that a slow loop can use the same numbers.

    With `samples` False posterior means are taken; with a dropout rate of 0 nothing is dropped.
    """

    def __init__(
        self,
        n_members: int,
        n_trials: int,
        *,
        samples: bool = True,
        dropout_rate: float = 0.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.n_trials, self._lead, self._dtype = n_trials, (n_members, n_trials), dtype
        self.samples, self.dropout_rate = samples, dropout_rate
        self.drawn: dict[str, Tensor] = {}

    def normal(self, site: str, *shape: int) -> Tensor | None:
        if not self.samples:
            return None
        if site not in self.drawn:
            self.drawn[site] = torch.randn(
                *self._lead, *shape, generator=self._random(site), dtype=self._dtype
            )
        return self.drawn[site]

    def dropout_mask(self, site: str, *shape: int) -> Tensor | None:
        if self.dropout_rate == 0.0:
            return None
        if site not in self.drawn:
            drawn = torch.rand(*self._lead, *shape, generator=self._random(site))
            kept = (drawn >= self.dropout_rate).to(self._dtype)
            self.drawn[site] = kept / (1.0 - self.dropout_rate)
        return self.drawn[site]

    def _random(self, site: str) -> torch.Generator:
        return torch.Generator().manual_seed(sum(site.encode()))


def gradients_of_one_step(state: PopulationState, task: Task) -> dict[str, Tensor]:
    """Named gradients of the step that `state` has just made, its first and unclipped."""
    gradient = state.moment1 / (1.0 - task.training.beta1)
    return task.layout.views(gradient)
