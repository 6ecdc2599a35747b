"""What the families of spike counts share: their support, and means of silent units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.loss.observations.base import UnitMoments

__all__ = ["at_least_half_a_spike", "no_counts"]


def no_counts(counts: Tensor) -> tuple[Tensor, str] | None:
    """Where values are no counts, and what is needed; None if all is well."""
    wrong = (counts < 0) | ((counts != counts.round()) & ~counts.isnan()) | counts.isinf()
    return (wrong, "whole numbers of at least 0") if bool(wrong.any()) else None


def at_least_half_a_spike(
    mean: Float[Tensor, "... N"], moments: UnitMoments
) -> Float[Tensor, "... N"]:
    """The mean, but never below half a spike in all training entries of the unit.

    So a silent unit has a finite logarithm.
    """
    return torch.maximum(mean, 0.5 / moments.n_entries.clamp_min(1.0))
