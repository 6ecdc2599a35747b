"""AdamW with each member's own rate, decay and clip, on flat buffers.

Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization" (arXiv:1711.05101),
algorithm 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

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
) -> None:
    """Clip each member's gradient at its own norm and update the members that are active.

    `w <- w - rate * (ramp * decay * w + m_hat / (sqrt(v_hat) + eps))`. An inactive member (stopped,
    or without a finite gradient) keeps weights, moments and step count as they are.
    """
    own, active = state.hyperparameters, is_active[:, None]
    scale = (own.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0)[:, None]
    gradient = torch.where(active, gradient * scale, 0.0)
    steps = state.clocks.steps + is_active
    state.clocks.steps = steps
    moment1 = torch.lerp(state.moment1, gradient, (1.0 - own.beta1)[:, None])
    moment2 = torch.lerp(state.moment2, gradient.square(), (1.0 - own.beta2)[:, None])
    counted = steps.clamp_min(1).double()
    correction1 = (1.0 - own.beta1.double() ** counted).to(gradient.dtype)[:, None]
    correction2 = (1.0 - own.beta2.double() ** counted).to(gradient.dtype)[:, None]
    root = (moment2 / correction2).sqrt_().add_(own.epsilon[:, None])
    rate = own.learning_rate[:, None]
    shrink = 1.0 - rate * (own.weight_decay * decay_ramp)[:, None]
    updated = state.weights * shrink - rate / correction1 * moment1 / root
    moves = active if is_trained is None else active & is_trained
    state.weights = torch.where(moves, updated, state.weights)
    state.moment1 = torch.where(active, moment1, state.moment1)
    state.moment2 = torch.where(active, moment2, state.moment2)
