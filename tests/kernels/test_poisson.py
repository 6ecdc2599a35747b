"""The read-out and Poisson likelihood in one operation, against autograd through the definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lfads_torch.kernels.poisson import poisson_nats
from lfads_torch.loss.observations.poisson import Poisson

SIZES = [(1, 1, 1, 1, 1), (3, 4, 33, 3, 7), (2, 5, 400, 2, 3)]  # the last in several blocks


def given(sizes: tuple[int, ...], masks: str) -> tuple[list[Tensor], dict[str, Tensor | None]]:
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
    leaves = [normal(p, t, b, f), normal(p, f, n), normal(p, n)]
    return leaves, dict(counts=counts, is_present=is_present, has_gradient=mask("gradient"))


def by_autograd(
    factors: Tensor, weight: Tensor, bias: Tensor, given: dict[str, Tensor | None]
) -> Tensor:
    theta = (factors @ weight[:, None] + bias[:, None, None]).transpose(1, 2)
    assert given["counts"] is not None
    nats = Poisson().negative_log_likelihood(theta[..., None, :], given["counts"])
    if given["has_gradient"] is not None:
        nats = torch.where(given["has_gradient"], nats, nats.detach())
    if given["is_present"] is not None:
        nats = torch.where(given["is_present"], nats, 0.0)
    return nats.flatten(1).sum(1)


@pytest.mark.parametrize("masks", ["", "present", "gradient", "present and gradient"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_value_and_gradients_are_those_of_the_definition(sizes, masks):
    leaves, fixed = given(sizes, masks)
    weights = torch.arange(1.0, 1.0 + sizes[0], dtype=torch.float64)
    found = {}
    for name, nats in (("one pass", poisson_nats), ("definition", None)):
        own = [leaf.clone().requires_grad_() for leaf in leaves]
        total = nats(*own, **fixed) if nats else by_autograd(*own, fixed)
        found[name] = [total.detach(), *torch.autograd.grad((total * weights).sum(), own)]
    for one, other in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-11)


def test_without_gradients_the_value_is_the_same():
    leaves, fixed = given(SIZES[1], "present")
    with torch.no_grad():
        value = poisson_nats(*leaves, **fixed)
    torch.testing.assert_close(value, by_autograd(*leaves, fixed), rtol=1e-12, atol=0)


def test_a_member_is_the_same_in_any_population():
    leaves, fixed = given(SIZES[1], "gradient")
    together = poisson_nats(*leaves, **fixed)
    alone = poisson_nats(
        *(leaf[1:2] for leaf in leaves),
        **{name: None if value is None else value[1:2] for name, value in fixed.items()},
    )
    torch.testing.assert_close(together[1:2], alone, rtol=1e-12, atol=0)
