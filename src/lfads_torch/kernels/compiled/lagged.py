"""What the controller sees of its encoder, in the compiled library. See model/encoder.py.

Axes: P member, E encoded bin, T generated bin, B trial, H hidden unit of one direction.
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
    from jaxtyping import Float

__all__ = ["CompiledLagged"]


@dataclass(frozen=True)
class CompiledLagged:
    """`model.encoder.lagged` and the dropout after it, of float32 on the CPU."""

    library: Library
    instructions: str

    def __call__(
        self,
        states: Float[Tensor, "P 2 E B H"],
        mask: Float[Tensor, "P T B H2"] | None,
        *,
        lag: int,
        n_generated: int,
    ) -> Float[Tensor, "P T B H2"]:
        """The forward state of bin t - lag, then the backward one of bin t + lag, times the mask.

        Zeros where there is none, and at bins that were not encoded.
        """
        mask = None if mask is None else mask.contiguous()
        seen: Tensor = _Seen.apply(self, states, mask, lag, n_generated)  # type: ignore[no-untyped-call]
        return seen

    def run(self, arrays: dict[str, Tensor | None], shape: tuple[int, ...], *, lag: int) -> None:
        """`shape`: members, generated bins, trials, encoded bins, hidden units."""
        names = ("members", "bins", "trials", "encoded_bins", "size")
        numbers = dict(zip(names, shape, strict=True))
        threads = library_threads()
        self.library.call(
            "lagged", self.instructions, {**numbers, "lag": lag, "threads": threads}, arrays
        )


class _Seen(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(
        ctx: Any, call: CompiledLagged, states: Tensor, mask: Tensor | None, lag: int, n_bins: int
    ) -> Tensor:
        states = states.contiguous()
        n_members, _, n_encoded, n_trials, size = states.shape
        ctx.call, ctx.lag = call, lag
        ctx.shape = (n_members, n_bins, n_trials, n_encoded, size)
        ctx.save_for_backward(mask)
        seen = states.new_empty(n_members, n_bins, n_trials, 2 * size)
        call.run({"states": states, "mask": mask, "seen": seen}, ctx.shape, lag=lag)
        return seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_seen: Tensor) -> tuple[Tensor | None, ...]:
        n_members, _, n_trials, n_encoded, size = ctx.shape
        of_seen = of_seen.contiguous()
        of_states = of_seen.new_empty(n_members, 2, n_encoded, n_trials, size)
        (mask,) = ctx.saved_tensors
        arrays = {"mask": mask, "of_seen": of_seen, "of_states": of_states}
        ctx.call.run(arrays, ctx.shape, lag=ctx.lag)
        return None, of_states, None, None, None
