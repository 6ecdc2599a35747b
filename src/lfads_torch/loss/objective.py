"""The loss of each member:
`scale * (reconstruction + ramp_l2 * L2 + ramp_kl * (k_ic * KL_ic + k_u * KL_u))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lfads_torch.loss.divergence import mean_divergence
from lfads_torch.loss.penalty import recurrent_penalty
from lfads_torch.loss.reconstruction import (
    IndexedTarget,
    Target,
    indexed_reconstruction,
    one_pass_reconstruction,
    session_mean,
    session_reconstruction,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.model.lfads import ModelOutput
    from lfads_torch.model.priors.base import Prior
    from lfads_torch.model.sessions import ReadOut

__all__ = ["LossTerms", "LossWeights", "Priors", "objective"]


@dataclass(frozen=True)
class Priors:
    """The priors of both latents; none where the model is not variational."""

    initial_condition: Prior | None
    inputs: Prior | None  # None without inferred inputs


@dataclass(frozen=True)
class LossWeights:
    """Each member's weights of the terms, and where its ramps stand."""

    kl_initial_condition: Float[Tensor, " P"]
    kl_inputs: Float[Tensor, " P"]
    l2: Mapping[str, Float[Tensor, " P"]]  # name of a recurrent matrix -> scale
    ramp_kl: Float[Tensor, " P"]
    ramp_l2: Float[Tensor, " P"]


@dataclass(frozen=True)
class LossTerms:
    """One number per member; the terms without their weights, the loss with all."""

    loss: Float[Tensor, " P"]
    reconstruction: Float[Tensor, " P"]
    kl_initial_condition: Float[Tensor, " P"]
    kl_inputs: Float[Tensor, " P"]
    l2: Float[Tensor, " P"]


def objective(
    output: ModelOutput,
    targets: tuple[Target | IndexedTarget, ...],
    named: Mapping[str, Tensor],
    *,
    observations: tuple[Observation, ...],
    priors: Priors,
    weights: LossWeights,
    settings: LossSettings,
) -> LossTerms:
    """All terms of one batch. `observations` and `targets` follow the sessions of the batch."""
    parts = [
        _reconstruction(family, readout, target, settings)
        for family, readout, target in zip(observations, output.readouts, targets, strict=True)
    ]
    n_trials = [target.n_trials for target in targets]
    reconstruction = session_mean(parts, n_trials, settings.session_weights)
    divergence_of = partial(
        mean_divergence,
        named=named,
        n_trials=n_trials,
        weights=settings.session_weights,
        like=reconstruction,
    )
    kl_ic = divergence_of(priors.initial_condition, output.initial_condition)
    kl_inputs = divergence_of(priors.inputs, output.inputs)
    l2 = recurrent_penalty(weights.l2, named)
    divergence = weights.kl_initial_condition * kl_ic + weights.kl_inputs * kl_inputs
    total = reconstruction + weights.ramp_l2 * l2 + weights.ramp_kl * divergence
    return LossTerms(settings.scale * total, reconstruction, kl_ic, kl_inputs, l2)


def _reconstruction(
    family: Observation, readout: ReadOut, target: Target | IndexedTarget, settings: LossSettings
) -> Float[Tensor, " P"]:
    if isinstance(target, IndexedTarget):
        return indexed_reconstruction(target, readout, settings.reconstruction)
    if target.likelihood is not None:
        return one_pass_reconstruction(target, readout, settings.reconstruction)
    return session_reconstruction(family, readout.parameters(), target, settings.reconstruction)
