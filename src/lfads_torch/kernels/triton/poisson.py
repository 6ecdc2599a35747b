"""Read-out and Poisson likelihood as one Triton kernel, with its gradients; see README.md.

Axes as in kernels/poisson.py, whose equations these are; M = T*B rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import triton
from torch import Tensor

from lfads_torch.kernels.poisson import differentiable_nats, poisson_nats
from lfads_torch.kernels.triton.device_poisson import Arrays, Signal, poisson
from lfads_torch.kernels.triton.gru import computes
from lfads_torch.kernels.triton.precision import Cut, Products

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["TritonPoisson"]


@dataclass(frozen=True)
class TritonPoisson:
    """`poisson_nats` as a Triton kernel. `cut` is chosen from the sizes unless given."""

    products: Products
    cut: Cut | None = None

    def __call__(
        self,
        factors: Float[Tensor, "P T B F"],
        weight: Float[Tensor, "P F N"],
        bias: Float[Tensor, "P N"],
        *,
        counts: Float[Tensor, "P B T N"],
        is_present: Bool[Tensor, "P B T N"] | None,
        has_gradient: Bool[Tensor, "P B T N"] | None,
    ) -> Float[Tensor, " P"]:
        """The same as `poisson_nats`, which defines it; float64. No second derivatives.

        What is not present may hold anything. Counts and masks may be views that repeat entries.
        What the kernel does not compute (another precision or device, sizes of zero) goes to
        `poisson_nats`.
        """
        masks = dict(is_present=is_present, has_gradient=has_gradient)
        if not computes((factors, weight, bias, counts)):
            return poisson_nats(factors, weight, bias, counts=counts, **masks)
        return differentiable_nats(self.one_pass, factors, weight, bias, counts=counts, **masks)

    def one_pass(
        self,
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
        n_members, n_bins, n_trials, n_factors = factors.shape
        n_rows, n_units = n_bins * n_trials, weight.shape[2]
        cut = self.cut or _fit(self.products, n_rows=n_rows, size=max(n_units, n_factors))
        n_tiles = triton.cdiv(n_rows, cut.trials)
        seen = factors.flatten(1, 2).contiguous()
        stored = self.products.stored(weight)
        arrays = Arrays(
            factors=seen,
            weight=stored,
            bias=bias.contiguous(),
            transposed=stored.mT.contiguous() if needs_gradient else stored,
            nats=seen.new_empty(n_members, n_tiles, dtype=torch.float64),
            slopes=stored.new_empty(n_members, n_rows if needs_gradient else 0, n_units),
            of_bias=seen.new_empty(n_members, n_tiles if needs_gradient else 0, n_units),
            of_factors=seen.new_empty(seen.shape if needs_gradient else 0),
        )
        poisson[(n_tiles, n_members)](  # the first axis alone may be longer than 65,535
            arrays,
            _signal(counts),
            # What is not read may be any signal.
            _signal(counts if is_present is None else is_present),
            _signal(counts if has_gradient is None else has_gradient),
            n_bins,
            n_trials,
            F=n_factors,
            N=n_units,
            HAS_MISSING=is_present is not None,
            HAS_HIDDEN=has_gradient is not None,
            NEEDS_GRADIENT=needs_gradient,
            **cut.in_kernel(),
            **self.products.in_kernel(),
        )
        total = arrays.nats.sum(1)
        if not needs_gradient:
            return total, ()
        of_weight = self.products.batched(seen.mT, arrays.slopes)
        return total, (arrays.of_factors.view(factors.shape), of_weight, arrays.of_bias.sum(1))


def _fit(products: Products, *, n_rows: int, size: int) -> Cut:
    """A first choice from a member's sizes alone: a program does the same in any population.

    On the matrix units blocks are smaller: at most 128 registers a thread when compiled for sm_90,
    and two programs fit a multiprocessor, one of which loads. Not tuned on a GPU yet.
    """
    columns, depth = (64, 32) if products.precision == "float32" else (32, 16)
    return Cut(
        trials=min(64, max(16, triton.next_power_of_2(n_rows))),
        columns=min(columns, max(16, triton.next_power_of_2(size))),
        depth=min(depth, triton.next_power_of_2(size)),
    )


def _signal(given: Tensor) -> Signal:
    """A view where units are side by side already, also where other entries are repeated."""
    if given.stride(3) != 1 and given.shape[3] > 1:
        given = given.contiguous()
    if given.dtype == torch.bool:
        given = given.view(torch.uint8)
    strides: Any = given.stride()[:3]
    return Signal(given, *strides)
