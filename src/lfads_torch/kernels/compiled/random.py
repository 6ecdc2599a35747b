"""The words and masks of `training/streams.py`, made by the compiled library: the same bits.

Axes: P member, R row, n element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["Draw"]


@dataclass(frozen=True)
class Draw:
    """The rows of one site and step. `rows` [P, R] are row numbers, `members` [P] permanent ids."""

    library: Library
    key: tuple[int, int]
    step: int
    members: Int[Tensor, " P"]
    rows: Int[Tensor, "P R"]

    def bits(self, n: int) -> Int[Tensor, "P R n"]:
        """32-bit words as int64."""
        out = self.members.new_empty(*self.rows.shape, n)
        self._run({"words": n, "elements": 0, "bins": 1}, {"bits": out})
        return out

    def keep(self, n: int, threshold: Int[Tensor, " P"]) -> Bool[Tensor, "P R n"]:
        """True where the element's 16 bits are below the member's threshold."""
        out = self.members.new_empty(*self.rows.shape, n, dtype=torch.bool)
        sizes = {"words": (n + 1) // 2, "elements": n, "bins": 1}
        self._run(sizes, {"kept": out, "threshold": threshold.contiguous()})
        return out

    def mask(
        self, n: int, threshold: Int[Tensor, " P"], scale: Float[Tensor, " P"], *, bins: int = 1
    ) -> Float[Tensor, "P T R n"]:
        """The member's scale where the element is kept, else 0; float32.

        Every row has `bins` times n elements, which come back in the order of time.
        """
        out = self.members.new_empty(
            len(self.members), bins, self.rows.shape[1], n, dtype=torch.float32
        )
        arrays = {
            "mask": out,
            "threshold": threshold.contiguous(),
            "scale": scale.double().contiguous(),
        }
        elements = bins * n
        self._run({"words": (elements + 1) // 2, "elements": elements, "bins": bins}, arrays)
        return out

    def _run(self, sizes: dict[str, int], arrays: dict[str, Tensor]) -> None:
        n_members, n_rows = self.rows.shape
        numbers = {
            "members": n_members,
            "rows": n_rows,
            "threads": library_threads(),
            "key0": self.key[0],
            "key1": self.key[1],
            "step": self.step,
            **sizes,
        }
        given = {"member": self.members.contiguous(), "row": self.rows.contiguous()}
        self.library.call("random", self.library.best, numbers, given | arrays)
