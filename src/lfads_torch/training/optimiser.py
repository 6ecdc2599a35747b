"""AdamW with each member's own rate, decay and clip, on flat buffers.

Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization" (arXiv:1711.05101),
algorithm 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.adamw import AdamWBuffers, OwnNumbers

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.training.state import PopulationState

__all__ = ["adamw_step", "gradient_norm"]


def gradient_norm(gradient: Float[Tensor, "P n"]) -> Float[Tensor, " P"]:
    """Euclidean norm of each member's whole gradient."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return norm


def adamw_step(
    state: PopulationState,
    gradient: Float[Tensor, "P n"],
    *,
    decay_ramp: Float[Tensor, " P"],
    norm: Float[Tensor, " P"],
    is_active: Bool[Tensor, " P"],
    is_trained: Bool[Tensor, " n"] | None = None,
    kernels: Kernels | None = None,
) -> None:
    """Clip each member's gradient at its own norm and update the members that are active.

    `w <- w - rate * (ramp * decay * w + m_hat / (sqrt(v_hat) + eps))`. An inactive member (stopped,
    or without a finite gradient) keeps weights, moments and step count as they are.
    Where all weights are trained, a backend of `kernels` that can does it in place.
    """
    own = state.hyperparameters
    steps = state.clocks.steps + is_active
    state.clocks.steps = steps
    counted = steps.clamp_min(1).double()
    correction1 = (1.0 - own.beta1.double() ** counted).to(gradient.dtype)
    numbers = OwnNumbers(
        scale=(own.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0),
        share1=1.0 - own.beta1,
        share2=1.0 - own.beta2,
        rate=own.learning_rate / correction1,
        correction2=(1.0 - own.beta2.double() ** counted).to(gradient.dtype),
        epsilon=own.epsilon,
        shrink=1.0 - own.learning_rate * (own.weight_decay * decay_ramp),
    )
    buffers = AdamWBuffers(state.weights, state.moment1, state.moment2)
    if kernels is not None and is_trained is None:
        if kernels.fused is not None and buffers.fit():
            kernels.fused.adamw(buffers, gradient, numbers, is_active)
            return
        if kernels.adamw is not None and kernels.adamw(buffers, gradient, numbers, is_active):
            return
    active = is_active[:, None]
    moves = active if is_trained is None else active & is_trained
    _update(state, gradient, numbers, active=active, moves=moves)


def _update(
    state: PopulationState,
    gradient: Float[Tensor, "P n"],
    own: OwnNumbers,
    *,
    active: Bool[Tensor, "P 1"],
    moves: Bool[Tensor, "P _"],
) -> None:
    gradient = torch.where(active, gradient * own.scale[:, None], 0.0)
    moment1 = torch.lerp(state.moment1, gradient, own.share1[:, None])
    moment2 = torch.lerp(state.moment2, gradient.square(), own.share2[:, None])
    root = (moment2 / own.correction2[:, None]).sqrt_().add_(own.epsilon[:, None])
    updated = state.weights * own.shrink[:, None] - own.rate[:, None] * moment1 / root
    state.weights = torch.where(moves, updated, state.weights)
    state.moment1 = torch.where(active, moment1, state.moment1)
    state.moment2 = torch.where(active, moment2, state.moment2)
