"""KL terms of the evidence bound, one number per member: summed over bins and dimensions, mean over trials.

The formulas stand with their priors: the closed form of the initial condition in
`model/priors/normal.py`, the step-wise one of the inferred inputs in `model/priors/autoregressive.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.priors.base import Posterior, Prior

__all__ = ["mean_divergence"]


def mean_divergence(
    prior: Prior | None, posterior: Posterior | None, named: Mapping[str, Tensor], like: Tensor
) -> Float[Tensor, " P"]:
    """Mean over trials of KL(posterior || prior) in nats; zeros [P] without prior or posterior."""
    if prior is None or posterior is None:
        return like.new_zeros(len(like))
    return prior.divergence(posterior, named).mean(1)
