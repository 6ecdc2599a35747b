"""Trials of one batch that end at different bins, read as if each stood alone.

The backward direction of an encoder begins at a trial's own last bin. Its input is moved so that
all trials end together, and its states are moved back; what lies beyond an end is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.model.weights import EncoderWeights

__all__ = ["is_before_end", "state_at_end", "states_to_ends"]


def is_before_end(n_bins: int, ends: Int[Tensor, "P B"]) -> Bool[Tensor, "P T B"]:
    """Which of the bins 0..n_bins-1 belong to each trial, time-major."""
    place = torch.arange(n_bins, device=ends.device)
    return place[None, :, None] < ends[:, None, :]


def states_to_ends(
    x: Float[Tensor, "P E B I"],
    weights: EncoderWeights,
    ends: Int[Tensor, "P B"],
    *,
    kernels: Kernels,
    clip: float,
) -> Float[Tensor, "P D E B H"]:
    """States of every direction; at a trial's bins those that it has alone, beyond its end zeros.

    `ends` is the number of bins of each trial, 1..E.
    """
    cell, start = weights.cell, weights.initial_state
    parts = []
    for direction, reads_back in enumerate((False, True)[: start.shape[1]]):
        chosen = slice(direction, direction + 1)
        own = type(cell)(cell.input[:, chosen], cell.recurrent[:, chosen], cell.bias[:, chosen])
        given = _moved(x, ends, later=True) if reads_back else x
        states = kernels.gru_scan(given, start[:, chosen], own, reverse=(reads_back,), clip=clip)
        parts.append(_moved(states[:, 0], ends, later=False) if reads_back else states[:, 0])
    inside = is_before_end(x.shape[1], ends)[..., None]
    return torch.stack([torch.where(inside, part, 0.0) for part in parts], 1)


def state_at_end(
    states: Float[Tensor, "P E B H"], ends: Int[Tensor, "P B"]
) -> Float[Tensor, "P B H"]:
    """The state at each trial's last bin."""
    last = (ends - 1)[:, None, :, None].expand(-1, 1, -1, states.shape[-1])
    return states.gather(1, last)[:, 0]


def _moved(
    values: Float[Tensor, "P E B D"], ends: Int[Tensor, "P B"], *, later: bool
) -> Float[Tensor, "P E B D"]:
    """Each trial moved so that it ends with the last bin (`later`), or back; zeros elsewhere."""
    n_bins = values.shape[1]
    place = torch.arange(n_bins, device=ends.device)[None, :, None]
    by = (n_bins - ends)[:, None, :]
    source = place - by if later else place + by
    inside = (source >= 0) & (source < n_bins)
    index = source.clamp(0, n_bins - 1)[..., None].expand(-1, -1, -1, values.shape[-1])
    return torch.where(inside[..., None], values.gather(1, index), 0.0)
