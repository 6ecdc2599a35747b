"""The contract of a prior: which weights it has, and the divergence of a posterior from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.model.weights import WeightSpec

__all__ = ["Posterior", "Prior", "sum_over_bins"]


@dataclass(frozen=True)
class Posterior:
    """A Gaussian posterior and the sample the generator saw; time-major for inferred inputs."""

    mean: Float[Tensor, "P *T B D"]
    variance: Float[Tensor, "P *T B D"]
    sample: Float[Tensor, "P *T B D"]
    is_counted: Bool[Tensor, "P T B"] | None = None  # False: beyond the end of the trial


def sum_over_bins(values: Float[Tensor, "P T B D"], posterior: Posterior) -> Float[Tensor, "P B"]:
    """The sum over dimensions and over each trial's own bins: what lies beyond its end is nothing.

    Every prior of the inferred inputs sums with it.
    """
    by_bin = values.sum(-1)
    if posterior.is_counted is not None:
        by_bin = torch.where(posterior.is_counted, by_bin, 0.0)
    return by_bin.sum(1)


class Prior(ABC):
    """A prior over D dimensions. It has no state: its weights live with the model's."""

    @abstractmethod
    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        """The learned weights, with full names."""

    @abstractmethod
    def divergence(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P B"]:
        """KL(posterior || prior) in nats, summed over bins and dimensions, for each trial."""

    @abstractmethod
    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        """The prior's stationary variance of each dimension."""
