"""What is trained: everything about the model and its loss that does not change while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from lfads_torch.loss.objective import Priors
from lfads_torch.model.priors.choose import initial_condition_prior, input_prior
from lfads_torch.model.weights import Layout, model_specs
from lfads_torch.training.settings import AugmentationSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.sizes import ModelSizes
    from lfads_torch.training.settings import TrainingSettings

__all__ = ["Task", "build_task"]


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

    @property
    def session_names(self) -> tuple[str, ...]:
        return tuple(session.name for session in self.sizes.sessions)


def build_task(
    model: ModelSettings,
    loss: LossSettings,
    training: TrainingSettings,
    *,
    sizes: ModelSizes,
    bin_width_s: float,
    observations: tuple[Observation, ...],
    readout_biases: Mapping[str, Tensor],
    kernels: Kernels,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    augmentation: AugmentationSettings = AugmentationSettings(),  # noqa: B008 - frozen
) -> Task:
    """Put the parts together; the flat buffer's order is fixed here."""
    is_factorised = loss.input_divergence == "factorised"
    priors = Priors(
        initial_condition_prior(model),
        input_prior(model, bin_width_s=bin_width_s, is_factorised=is_factorised),
    )
    specs = model_specs(model, sizes, readout_biases)
    specs += priors.initial_condition.specs(model.initial_condition_size)
    if priors.inputs is not None:
        specs += priors.inputs.specs(model.n_inferred_inputs)
    return Task(
        model=model,
        loss=loss,
        training=training,
        augmentation=augmentation,
        sizes=sizes,
        layout=Layout(tuple(specs)),
        priors=priors,
        observations=observations,
        kernels=kernels,
        device=device,
        dtype=dtype,
    )
