"""The model's noise, answered from the counter-based streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from lfads_torch.training.streams import Step, Streams

__all__ = ["StreamNoise"]


@dataclass(frozen=True)
class StreamNoise:
    """Noise for the trials `rows` of one step. Sites are prefixed by the phase ("train", ...)."""

    streams: Streams
    phase: str
    step: Step
    rows: Int[Tensor, "P B"]
    dtype: torch.dtype
    dropout_rate: Float[Tensor, " P"] | None = None  # None: no dropout in this phase

    def normal(self, site: str, *shape: int) -> Float[Tensor, "P B ..."]:
        numbers = self.streams.normal(self._site(site), self.step, self.rows, _product(shape))
        return numbers.to(self.dtype).view(*self.rows.shape, *shape)

    def dropout_mask(self, site: str, *shape: int) -> Float[Tensor, "P B ..."] | None:
        if self.dropout_rate is None:
            return None
        # Memory in the order of time, which is how kernels read it.
        in_time = self.streams.mask_in_time(
            self._site(site),
            self.step,
            self.rows,
            (_product(shape[:-1]), shape[-1]),
            self.dropout_rate,
        )
        return in_time.transpose(1, 2).reshape(*self.rows.shape, *shape)

    def keep(self, site: str, rate: Float[Tensor, " P"], *shape: int) -> Tensor:
        """Booleans, False with the member's probability `rate`."""
        kept = self.streams.keep(self._site(site), self.step, self.rows, _product(shape), rate)
        return kept.view(*self.rows.shape, *shape)

    def whole(self, site: str, n: int, *shape: int) -> Int[Tensor, "P B ..."]:
        """Whole numbers 0..n-1, each as likely as the others to 2^-32."""
        words = self.streams.bits(self._site(site), self.step, self.rows, _product(shape))
        return ((words * n) >> 32).view(*self.rows.shape, *shape)

    def _site(self, site: str) -> str:
        return f"{self.phase}.{site}"


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
