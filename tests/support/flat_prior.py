"""A prior from outside the package, without weights: the divergence is minus the entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from lfads_torch.model.priors.base import Posterior, Prior, PriorSetup

__all__ = ["Flat"]


class Flat(Prior):
    """As flat as it gets, of two dimensions."""

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> Flat:
        return cls()

    def specs(self, n_dimensions: int) -> list:
        return []

    def terms(self, posterior: Posterior, named: object) -> Tensor:
        return -0.5 * posterior.variance.log()

    def variance(self, named: object) -> Tensor:
        return torch.ones(1, 2)
