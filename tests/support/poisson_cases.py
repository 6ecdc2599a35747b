"""Random read-outs with counts and masks, and the likelihood's definition through autograd."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lfads_torch.loss.observations.poisson import Poisson

__all__ = ["NAMES", "Case", "definition", "random_case", "values_and_gradients"]

NAMES = ("nats", "factors", "weight", "bias")


@dataclass(frozen=True)
class Case:
    """Factors, weight and bias, and what is to be explained."""

    leaves: tuple[Tensor, ...]
    counts: Tensor
    is_present: Tensor | None
    has_gradient: Tensor | None

    def fixed(self) -> dict[str, Tensor | None]:
        return dict(counts=self.counts, is_present=self.is_present, has_gradient=self.has_gradient)

    def to(self, dtype: torch.dtype, device: torch.device | None = None) -> Case:
        """Numbers in another type, and everything on another device; masks stay Boolean."""
        masks = (self.is_present, self.has_gradient)
        return Case(
            tuple(leaf.to(device, dtype) for leaf in self.leaves),
            self.counts.to(device, dtype),
            *(None if mask is None else mask.to(device) for mask in masks),
        )

    def members(self, which: slice) -> Case:
        fixed = {k: None if v is None else v[which] for k, v in self.fixed().items()}
        return Case(tuple(leaf[which] for leaf in self.leaves), **fixed)


def random_case(sizes: tuple[int, ...], masks: str = "") -> Case:
    """`sizes` are P, T, B, F, N; `masks` names those there are: "present", "gradient", both."""
    p, t, b, f, n = sizes
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    def mask(name: str) -> Tensor | None:
        return torch.rand(p, b, t, n, generator=random) < 0.7 if name in masks else None

    counts = torch.poisson(normal(p, b, t, n).exp(), generator=random)
    is_present = mask("present")
    if is_present is not None:
        counts = torch.where(is_present, counts, 0.0)
    # Log rates of a few units, however many factors there are.
    leaves = (normal(p, t, b, f) / max(f, 1) ** 0.5, normal(p, f, n), normal(p, n))
    return Case(leaves, counts, is_present, mask("gradient"))


def definition(
    factors: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    counts: Tensor,
    is_present: Tensor | None,
    has_gradient: Tensor | None,
) -> Tensor:
    theta = (factors @ weight[:, None] + bias[:, None, None]).transpose(1, 2)
    nats = Poisson().negative_log_likelihood(theta[..., None, :], counts)
    if has_gradient is not None:
        nats = torch.where(has_gradient, nats, nats.detach())
    if is_present is not None:
        nats = torch.where(is_present, nats, 0.0)
    return nats.flatten(1).sum(1)


def values_and_gradients(case: Case, nats) -> dict[str, Tensor]:
    """Of the members' sums, each with a weight of its own."""
    own = [leaf.clone().requires_grad_() for leaf in case.leaves]
    total = nats(*own, **case.fixed())
    weights = torch.arange(1.0, 1.0 + len(total), dtype=total.dtype, device=total.device)
    gradients = torch.autograd.grad((total * weights).sum(), own)
    return dict(zip(NAMES, (total.detach(), *gradients), strict=True))
