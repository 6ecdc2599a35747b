"""Linear read-out and Poisson likelihood with a hand-written gradient, in PyTorch operations.

Axes: P member, T generated bin, B trial, N unit, F factor. Some bins at a time, so that log rates,
rates and their gradients stay in a processor's cache and none of them is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.gru.cell import time_blocks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["poisson_nats"]


def poisson_nats(
    factors: Float[Tensor, "P T B F"],
    weight: Float[Tensor, "P F N"],
    bias: Float[Tensor, "P N"],
    *,
    counts: Float[Tensor, "P B T N"],
    is_present: Bool[Tensor, "P B T N"] | None,
    has_gradient: Bool[Tensor, "P B T N"] | None,
) -> Float[Tensor, " P"]:
    """`sum over present entries of exp(theta) - y theta`, theta = factors W + b; float64.

    Masks that are None hold True everywhere; missing counts are 0. Where `has_gradient` is False
    the value counts and the gradient does not. Second derivatives are not available.
    """
    masks = tuple(None if m is None else m.transpose(1, 2) for m in (is_present, has_gradient))
    total: Tensor = _Nats.apply(  # type: ignore[no-untyped-call]
        factors, weight, bias, counts.transpose(1, 2), *masks
    )
    return total


class _Nats(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        total, gradients = _pass(*given, needs_gradient=any(ctx.needs_input_grad))
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor) -> tuple[Tensor | None, ...]:
        of_factors, of_weight, of_bias = ctx.saved_tensors
        scale = of_total.to(of_bias.dtype)[:, None]
        return (
            of_factors * scale[:, :, None, None],
            of_weight * scale[:, :, None],
            of_bias * scale,
            None, None, None,
        )  # fmt: skip


def _pass(
    factors: Tensor,
    weight: Tensor,
    bias: Tensor,
    counts: Tensor,
    is_present: Tensor | None,
    has_gradient: Tensor | None,
    *,
    needs_gradient: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The sum, and the gradients of the three arguments; signals [P, T, B, .]."""
    n_members, n_bins, n_trials, _ = factors.shape
    total = torch.zeros(n_members, dtype=torch.float64, device=factors.device)
    of_factors = factors.new_empty(factors.shape if needs_gradient else 0)
    of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    on_cpu = factors.device.type == "cpu"
    for block in time_blocks(n_bins, n_trials) if on_cpu else [slice(0, n_bins)]:
        seen, observed = factors[:, block].flatten(1, 2), counts[:, block]
        theta = torch.baddbmm(bias[:, None], seen, weight).view(observed.shape)
        slope = theta.exp()
        nats = torch.addcmul(slope, observed, theta, value=-1.0, out=theta)
        if is_present is not None:
            nats.masked_fill_(~is_present[:, block], 0.0)
        total += nats.sum((1, 2, 3))
        if not needs_gradient:
            continue
        slope.sub_(observed)
        for mask in (is_present, has_gradient):
            if mask is not None:
                slope.mul_(mask[:, block].view(torch.uint8))  # a third of the time of a Boolean
        flat = slope.flatten(1, 2)
        torch.bmm(flat, weight.mT, out=of_factors[:, block].flatten(1, 2))
        of_weight.baddbmm_(seen.mT, flat)
        of_bias += flat.sum(1)
    return total, (of_factors, of_weight, of_bias)
