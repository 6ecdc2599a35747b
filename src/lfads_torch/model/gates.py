"""Where the biases of a GRU's gates start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["gate_biases"]


def gate_biases(size: int, update: float) -> Float[Tensor, " H3"]:
    """`update` for the update gate z, 1 for the reset gate r, 0 for the candidate n.

    The update gate says how much of a state is kept: with bias b and nothing else to say, what a
    state holds fades with a time constant of 1 + exp(b) bins (Jozefowicz et al. 2015 and Tallec
    and Ollivier 2018 start gates in this way).
    """
    return torch.cat([torch.full((size,), update), torch.ones(size), torch.zeros(size)])
