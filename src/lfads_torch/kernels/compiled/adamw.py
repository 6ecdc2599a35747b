"""One update of the members' flat buffers, in place and in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["AdamWBuffers", "CompiledAdamW", "OwnNumbers"]


@dataclass(frozen=True)
class OwnNumbers:
    """Each member's numbers of one update, [P]; see training/optimiser.py."""

    scale: Float[Tensor, " P"]  # of the gradient, from the clip
    share1: Float[Tensor, " P"]  # 1 - beta1
    share2: Float[Tensor, " P"]
    rate: Float[Tensor, " P"]  # learning rate / correction of the first moment
    correction2: Float[Tensor, " P"]
    epsilon: Float[Tensor, " P"]
    shrink: Float[Tensor, " P"]  # 1 - learning rate * decay

    def stacked(self) -> Float[Tensor, "P 7"]:
        columns = (
            self.scale, self.share1, self.share2, self.rate, self.correction2, self.epsilon,
            self.shrink,
        )  # fmt: skip
        return torch.stack(columns, 1).float()


@dataclass(frozen=True)
class AdamWBuffers:
    """Overwritten in place."""

    weights: Float[Tensor, "P n"]
    moment1: Float[Tensor, "P n"]
    moment2: Float[Tensor, "P n"]

    def fit(self) -> bool:
        """Whether the library can work on them: float32 on the CPU, each in one piece."""
        return all(
            each.dtype == torch.float32 and each.device.type == "cpu" and each.is_contiguous()
            for each in (self.weights, self.moment1, self.moment2)
        )


@dataclass(frozen=True)
class CompiledAdamW:
    """Updates the members that are active; the others keep every bit."""

    library: Library
    instructions: str

    def __call__(
        self,
        buffers: AdamWBuffers,
        gradient: Float[Tensor, "P n"],
        own: OwnNumbers,
        is_active: Bool[Tensor, " P"],
    ) -> None:
        n_members, n = gradient.shape
        arrays = dict(
            gradient=gradient.contiguous(),
            numbers=own.stacked(),
            is_active=is_active.contiguous(),
            weights=buffers.weights,
            moment1=buffers.moment1,
            moment2=buffers.moment2,
        )
        numbers = dict(members=n_members, n=n, threads=library_threads())
        self.library.call("adamw", self.instructions, numbers, arrays)
