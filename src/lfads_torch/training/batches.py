"""Which trials form the batches of an epoch, for each member."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from jaxtyping import Int

__all__ = ["alternating_batches", "balanced_batches", "n_batches"]


def n_batches(n_trials: int, batch_size: int) -> int:
    """The fewest batches of at most this size that hold all trials."""
    return -(-n_trials // batch_size)


def balanced_batches(
    streams: Streams, epoch: int, n_trials: tuple[int, ...], batch_size: int
) -> list[tuple[Int[Tensor, "P _"], ...]]:
    """Positions per session for every batch; sizes differ by one at most.

    129 trials at 64 are 43+43+43, not 64+64+1. Every session gives every batch its share. Each
    member has its own order, a function of (seed, member, epoch).
    """
    k = n_batches(sum(n_trials), batch_size)
    chunks, first = [], 0
    for s, n in enumerate(n_trials):
        # Each session's larger chunks begin where the last session's ended: the sums balance too.
        sizes = [n // k + ((b - first) % k < n % k) for b in range(k)]
        chunks.append(streams.order(f"order.{s}", epoch, n).split(sizes, dim=1))
        first = (first + n) % k
    return [tuple(session[b] for session in chunks) for b in range(k)]


def alternating_batches(
    streams: Streams, epoch: int, n_trials: tuple[int, ...], batch_size: int
) -> list[tuple[Int[Tensor, "P _"], ...]]:
    """As `balanced_batches`, but every batch is of one session; the others have width 0.

    Batches of the sessions are spread evenly over the epoch; ties go in the order of sessions.
    """
    placed = []
    for s, n in enumerate(n_trials):
        k = n_batches(n, batch_size)
        sizes = [n // k + (b < n % k) for b in range(k)]
        chunks = streams.order(f"order.{s}", epoch, n).split(sizes, dim=1)
        placed += [((b + 0.5) / k, s, chunk) for b, chunk in enumerate(chunks)]
    return [
        tuple(chunk if other == s else chunk[:, :0] for other in range(len(n_trials)))
        for _, s, chunk in sorted(placed, key=lambda each: each[:2])
    ]


def total_size(batch: tuple[Int[Tensor, "P _"], ...]) -> int:
    return int(torch.tensor([index.shape[1] for index in batch]).sum())
