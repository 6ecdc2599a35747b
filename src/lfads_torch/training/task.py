"""What is trained: everything about the model and its loss that does not change while it trains."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from lfads_torch.errors import SettingsError
from lfads_torch.kernels.choose import with_own_generator
from lfads_torch.loss.objective import Priors
from lfads_torch.model.parts import ModelParts, choose_parts
from lfads_torch.model.priors.choose import initial_condition_prior, input_prior
from lfads_torch.model.weights import Layout, model_specs
from lfads_torch.training.parts import trained_weights
from lfads_torch.training.settings import AugmentationSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Bool, Float
    from torch import Tensor

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.sizes import ModelSizes
    from lfads_torch.model.weights import GivenStart, WeightSpec
    from lfads_torch.training.settings import TrainingSettings

__all__ = [
    "Computation",
    "SessionTreatment",
    "Task",
    "TaskData",
    "build_task",
    "parts_of_model",
]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Fixed for a run. Scales in `loss` are published ones (see `config.resolve`)."""

    model: ModelSettings
    loss: LossSettings
    training: TrainingSettings
    augmentation: AugmentationSettings
    sizes: ModelSizes
    layout: Layout
    priors: Priors
    observations: tuple[Observation, ...]  # per session
    kernels: Kernels
    device: torch.device
    dtype: torch.dtype
    parts: ModelParts = field(default_factory=ModelParts)
    alternates: bool = False  # every batch is of one session
    is_trained: Bool[Tensor, " n"] | None = None  # of the flat buffer; None: everything is
    # Of plug-ins, [P] each, of trained members that are applied; in training the state has them.
    own_values: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def session_names(self) -> tuple[str, ...]:
        return tuple(session.name for session in self.sizes.sessions)

    def named(self, flat: Float[Tensor, "P n"]) -> dict[str, Tensor]:
        """All that trained members have by name: weights, and their own numbers of plug-ins."""
        return {**self.layout.views(flat), **self.own_values}

    @cached_property
    def graphs(self) -> Any:  # StepGraphs; its module knows this one
        """Its training steps, recorded as CUDA graphs; they last as long as the task."""
        from lfads_torch.training.graphs import StepGraphs

        return StepGraphs()


@dataclass(frozen=True, kw_only=True)
class SessionTreatment:
    """How the sessions of a task are trained, and where their weights start."""

    alternates: bool = False
    frozen: tuple[str, ...] = ()  # weights whose names begin with one of these are not trained
    only: tuple[str, ...] = ()  # where there are any: no others are trained
    starts: Mapping[str, GivenStart] = field(default_factory=dict)  # name of a weight -> its start


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """What the recordings say about a task."""

    sizes: ModelSizes
    bin_width_s: float
    observations: tuple[Observation, ...]  # per session
    readout_biases: Mapping[str, Tensor]  # session -> where the bias of its read-out starts


@dataclass(frozen=True)
class Computation:
    """What computes a task, where, and in which numbers."""

    kernels: Kernels
    device: torch.device
    dtype: torch.dtype = torch.float32


def build_task(
    model: ModelSettings,
    loss: LossSettings,
    training: TrainingSettings,
    *,
    data: TaskData,
    computation: Computation,
    augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008 - frozen
    treatment: SessionTreatment = SessionTreatment(),
) -> Task:
    """Put the parts together; the flat buffer's order is fixed here."""
    parts, kernels = choose_parts(model), computation.kernels
    if parts.generator is not None:
        kernels = with_own_generator(kernels, model.generator)
    priors, specs = parts_of_model(
        model, loss, data.sizes, data.readout_biases, bin_width_s=data.bin_width_s
    )
    starts = treatment.starts
    layout = Layout(tuple(replace(spec, start=starts.get(spec.name)) for spec in specs))
    _require_other_names(layout, model)
    return Task(
        model=model,
        loss=loss,
        training=training,
        augmentation=augmentation,
        sizes=data.sizes,
        layout=layout,
        priors=priors,
        observations=data.observations,
        kernels=kernels,
        device=computation.device,
        dtype=computation.dtype,
        parts=parts,
        alternates=treatment.alternates,
        is_trained=_is_trained(layout, training, treatment, computation.device),
    )


def _require_other_names(layout: Layout, model: ModelSettings) -> None:
    """Weights and the members' own numbers of plug-ins are looked up side by side."""
    for name in model.own.per_member():
        if name in layout.offsets:
            raise SettingsError(
                f"{name} is a setting of a plug-in and a weight of the model; rename the section "
                "of the plug-in's settings."
            )


def parts_of_model(
    model: ModelSettings,
    loss: LossSettings,
    sizes: ModelSizes,
    readout_biases: Mapping[str, Tensor],
    *,
    bin_width_s: float,
) -> tuple[Priors, list[WeightSpec]]:
    """The priors, and every weight of the model in its order."""
    is_factorised = loss.input_divergence == "factorised"
    priors = Priors(
        initial_condition_prior(model),
        input_prior(model, bin_width_s=bin_width_s, is_factorised=is_factorised),
    )
    specs = model_specs(model, sizes, readout_biases, choose_parts(model))
    if priors.initial_condition is not None:
        specs += priors.initial_condition.specs(model.initial_condition_size)
    if priors.inputs is not None:
        specs += priors.inputs.specs(model.n_inferred_inputs)
    return priors, specs


def _is_trained(
    layout: Layout, training: TrainingSettings, treatment: SessionTreatment, device: torch.device
) -> Bool[Tensor, " n"] | None:
    """Which numbers of the flat buffer move; None where all do."""
    trained = trained_weights(training, [spec.name for spec in layout.specs])
    moves = [spec.name in trained and _moves(spec.name, treatment) for spec in layout.specs]
    if all(moves):
        return None
    return torch.cat(
        [
            torch.full((spec.n,), moving, device=device)
            for spec, moving in zip(layout.specs, moves, strict=True)
        ]
    )


def _moves(name: str, treatment: SessionTreatment) -> bool:
    is_chosen = not treatment.only or name.startswith(treatment.only)
    return is_chosen and not name.startswith(treatment.frozen)
