"""Linear read-out and Poisson likelihood in one pass, value and gradients, without rates.

Axes: P member, B trial of the batch, T generated bin, N unit, F factor; R trials of the recording,
L their bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["CompiledPoisson", "IndexedCounts"]


@dataclass(frozen=True)
class IndexedCounts:
    """Trials of a recording by their positions, not copied; generation starts at `first_bin`."""

    counts: Float[Tensor, "R L N"]  # missing entries are 0
    index: Int[Tensor, "P B"]
    first_bin: int
    is_present: Bool[Tensor, "R L N"] | None = None  # None where nothing is missing
    has_gradient: Bool[Tensor, "P B T N"] | None = None  # None: every entry
    is_counted: Bool[Tensor, "T N"] | None = None  # None: every entry
    adds_constant: bool = False  # log(counts!), which depends on nothing that is trained


@dataclass(frozen=True)
class CompiledPoisson:
    """`sum over present entries of exp(theta) - y theta`, theta = factors W + b."""

    library: Library
    instructions: str

    def __call__(
        self,
        factors: Float[Tensor, "P T B F"],
        weight: Float[Tensor, "P F N"],
        bias: Float[Tensor, "P N"],
        given: IndexedCounts,
    ) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
        """Nats, and the entries that they are of; float64.

        Where `has_gradient` is False the value counts and the gradient does not.
        """
        tensors = (factors, weight, bias)
        needs = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if not needs:
            total, n_present, _ = self.run(*tensors, given, needs_gradient=False)
            return total, n_present
        total, n_present = _Loss.apply(self, given, *tensors)  # type: ignore[no-untyped-call]
        return total, n_present

    def run(
        self,
        factors: Tensor,
        weight: Tensor,
        bias: Tensor,
        given: IndexedCounts,
        *,
        needs_gradient: bool,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        if factors.stride()[2:] != (factors.shape[3], 1):
            factors = factors.contiguous()
        n_members, n_bins, n_trials, _ = factors.shape
        total = factors.new_empty(n_members, dtype=torch.float64)
        n_present = torch.empty_like(total)
        weight, bias = weight.contiguous(), bias.contiguous()
        made = {
            "of_factors": torch.empty(factors.shape),
            "of_weight": torch.empty_like(weight),
            "of_bias": torch.empty_like(bias),
        } if needs_gradient else {}  # fmt: skip
        gradient, strides = _bytes_by_trial(given.has_gradient)
        arrays = dict(
            made_factors=factors,
            weight=weight,
            bias=bias,
            counts=given.counts.contiguous(),
            index=given.index.contiguous(),
            is_present=None if given.is_present is None else given.is_present.contiguous(),
            has_gradient=gradient,
            is_counted=None if given.is_counted is None else given.is_counted.contiguous(),
            total=total,
            n_present=n_present,
        )
        numbers = dict(
            members=n_members,
            bins=n_bins,
            trials=n_trials,
            factors=factors.shape[3],
            units=weight.shape[2],
            threads=library_threads(),
            recording_bins=given.counts.shape[1],
            first_bin=given.first_bin,
            member_stride=factors.stride(0),
            bin_stride=factors.stride(1),
            gradient_bin=strides[0],
            gradient_trial=strides[1],
            adds_constant=int(given.adds_constant),
        )
        self.library.call("poisson", self.instructions, numbers, arrays | made)
        return total, n_present, tuple(made.values())


def _bytes_by_trial(
    mask: Bool[Tensor, "P B T N"] | None,
) -> tuple[Tensor | None, tuple[int, int]]:
    """The mask and its strides over bins and trials in rows of N, whichever of both is first."""
    if mask is None:
        return None, (0, 0)
    n_trials, n_bins = mask.shape[1:3]
    in_time = mask.transpose(1, 2)
    if in_time.is_contiguous():
        return in_time, (n_trials, 1)
    mask = mask.contiguous()
    return mask, (1, n_bins)


class _Loss(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(
        ctx: Any, call: CompiledPoisson, given: IndexedCounts, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        factors, weight, bias = tensors
        total, n_present, gradients = call.run(factors, weight, bias, given, needs_gradient=True)
        ctx.mark_non_differentiable(n_present)
        ctx.save_for_backward(*gradients)
        return total, n_present

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        scale = of_total.to(torch.float32)
        scaled = (g * scale.view(-1, *([1] * (g.dim() - 1))) for g in ctx.saved_tensors)
        return None, None, *scaled
