"""Random numbers that have not been made yet: a backend may make them where it needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

__all__ = ["Drawn"]


@dataclass(frozen=True)
class Drawn:
    """What fixes the numbers [P, T, B, size] of one site in `training/streams.py`.

    Only the Triton decoder takes it in the place of noise or of a mask.
    """

    key: tuple[int, int]
    step: Int[Tensor, "1"]
    members: Int[Tensor, " P"]  # permanent ids
    rows: Int[Tensor, "P B"]  # row numbers
    size: int
    threshold: Int[Tensor, " P"] | None = None  # of 16 bits; masks only
    scale: Float[Tensor, " P"] | None = None  # of what is kept; masks only
