"""What the model asks of randomness: named sites. Who answers, and how, is not its business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Noise", "Silence"]


@runtime_checkable
class Noise(Protocol):
    """Random tensors for the trials of one batch, [P, B, ...]; None where the site is silent."""

    def normal(self, site: str, *shape: int) -> Float[Tensor, "P B ..."] | None:
        """Standard normals, or None to use the mean of what would be sampled."""

    def dropout_mask(self, site: str, *shape: int) -> Float[Tensor, "P B ..."] | None:
        """Ordinary dropout's mask: 0, or 1/(1 - rate); None keeps everything as it is."""


class Silence:
    """No noise anywhere: posterior means and no dropout."""

    def normal(self, site: str, *shape: int) -> None:
        return None

    def dropout_mask(self, site: str, *shape: int) -> None:
        return None
