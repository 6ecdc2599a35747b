"""Linear read-out and Poisson likelihood with a hand-written gradient, in PyTorch operations.

Axes: P member, T generated bin, B trial, N unit, F factor. Some bins at a time, so that log rates,
rates and their gradients stay in a processor's cache and none of them is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.gru.cell import time_blocks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["differentiable_nats", "poisson_nats"]


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
    return differentiable_nats(
        _pass,
        factors,
        weight,
        bias,
        counts=counts,
        is_present=is_present,
        has_gradient=has_gradient,
    )


def differentiable_nats(
    one_pass: Callable[..., tuple[Tensor, tuple[Tensor, ...]]],
    factors: Float[Tensor, "P T B F"],
    weight: Float[Tensor, "P F N"],
    bias: Float[Tensor, "P N"],
    *,
    counts: Float[Tensor, "P B T N"],
    is_present: Bool[Tensor, "P B T N"] | None,
    has_gradient: Bool[Tensor, "P B T N"] | None,
) -> Float[Tensor, " P"]:
    """`poisson_nats` by a function that gives the sums and their three gradients in one go.

    It is given factors, weight, bias, counts and masks in the order of time [P, T, B, N], and
    `needs_gradient`; without, it gives no gradients.
    """
    masks = tuple(None if m is None else m.transpose(1, 2) for m in (is_present, has_gradient))
    leaves = (factors, weight, bias)
    given = (*leaves, counts.transpose(1, 2), *masks)
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in leaves)):
        return one_pass(*given, needs_gradient=False)[0]
    total: Tensor = _Nats.apply(one_pass, *given)  # type: ignore[no-untyped-call]
    return total


class _Nats(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(
        ctx: Any, one_pass: Callable[..., tuple[Tensor, tuple[Tensor, ...]]], *given: Any
    ) -> Tensor:
        total, gradients = one_pass(*given, needs_gradient=True)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor) -> tuple[Tensor | None, ...]:
        of_factors, of_weight, of_bias = ctx.saved_tensors
        scale = of_total.to(of_bias.dtype)[:, None]
        return (
            None,
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
