"""KL terms of the evidence bound, one number per member.

Summed over bins and dimensions, mean over trials; sessions weigh as in the reconstruction. The
formulas stand with their priors, in `model/priors/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from lfads_torch.loss.reconstruction import session_mean
from lfads_torch.plugin_returns import returned_tensor

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.priors.base import Posterior, Prior

__all__ = ["mean_divergence"]


def mean_divergence(
    prior: Prior | None,
    posterior: Posterior | None,
    *,
    named: Mapping[str, Tensor],
    n_trials: list[int],
    weights: Literal["trials", "equal"],
    like: Tensor,
) -> Float[Tensor, " P"]:
    """Mean over trials of KL(posterior || prior) in nats; zeros [P] without prior or posterior.

    `n_trials` are the trials of each session, which stand one session after the other.
    """
    if prior is None or posterior is None:
        return like.new_zeros(len(like))
    shape = (len(like), sum(n_trials))
    divergence = returned_tensor(
        prior, "terms, summed,", prior.divergence(posterior, named), shape, axes="P B"
    )
    of_sessions = divergence.split(n_trials, 1)
    return session_mean([part.mean(1) for part in of_sessions], n_trials, weights)
