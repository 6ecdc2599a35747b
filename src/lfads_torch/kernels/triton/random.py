"""The words, masks and normals of `training/streams.py`, made by one Triton kernel per draw.

Words and masks are the same bits, normals agree within 1e-6. Axes: P member, R row, n element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import triton
from torch import Tensor

from lfads_torch.kernels.triton import device_random

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["TritonDraw"]


@dataclass(frozen=True)
class TritonDraw:
    """The rows of one site and step. `rows` [P, R] are row numbers, `members` [P] permanent ids.

    `step` is one number in a tensor, so that a captured graph draws anew at each replay.
    """

    key: tuple[int, int]
    step: Int[Tensor, "1"]
    members: Int[Tensor, " P"]
    rows: Int[Tensor, "P R"]

    def bits(self, n: int) -> Int[Tensor, "P R n"]:
        """32-bit words as int64."""
        return self._filled(n, torch.int64, device_random.BITS)

    def keep(self, n: int, threshold: Int[Tensor, " P"]) -> Bool[Tensor, "P R n"]:
        """True where the element's 16 bits are below the member's threshold."""
        return self._filled(n, torch.bool, device_random.KEEP, threshold)

    def mask(
        self, n: int, threshold: Int[Tensor, " P"], scale: Float[Tensor, " P"], *, bins: int = 1
    ) -> Float[Tensor, "P T R n"]:
        """The member's scale where the element is kept, else 0; float32, in the order of time.

        The elements of a row are n for each of the `bins`, one bin after the other.
        """
        filled: Tensor = self._filled(bins * n, torch.float32, device_random.MASK, threshold, scale)
        made: Tensor = filled.unflatten(-1, (bins, n)).transpose(1, 2)
        return made

    def normal(self, n: int) -> Float[Tensor, "P R n"]:
        """Standard normals, float32."""
        return self._filled(n, torch.float32, device_random.NORMAL)

    def _filled(
        self,
        n: int,
        dtype: torch.dtype,
        kind: Any,  # a constant of Triton's
        threshold: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        out = torch.empty(*self.rows.shape, n, dtype=dtype, device=self.rows.device)
        if out.numel() == 0:
            return out
        per_block = 8 if threshold is not None else 4
        n_blocks = triton.cdiv(n, per_block)
        block = min(triton.next_power_of_2(n_blocks), 512)
        device_random.fill[(self.rows.numel(), triton.cdiv(n_blocks, block))](
            out,
            self.step,
            self.members.contiguous(),
            self.rows.contiguous(),
            # What a kind does not read may be any pointer of the right type.
            self.members if threshold is None else threshold.contiguous(),
            self.members if scale is None else scale.float().contiguous(),
            _signed(self.key[0]),
            _signed(self.key[1]),
            self.rows.shape[1],
            n,
            KIND=kind.value,
            BLOCK=block,
        )
        return out


def _signed(word: int) -> int:
    """The same 32 bits as a signed number: Triton then sees one type for every key."""
    return word - (1 << 32) if word >= 1 << 31 else word
