"""Which trials form the batches of an epoch, for each member."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from jaxtyping import Int

__all__ = ["alternating_batches", "balanced_batches", "n_batches"]

Lengths = tuple["Int[Tensor, ' B'] | None", ...]


def n_batches(n_trials: int, batch_size: int) -> int:
    """The fewest batches of at most this size that hold all trials."""
    return -(-n_trials // batch_size)


def balanced_batches(
    streams: Streams,
    epoch: int,
    n_trials: tuple[int, ...],
    batch_size: int,
    *,
    n_trial_bins: Lengths | None = None,
) -> list[tuple[Int[Tensor, "P _"], ...]]:
    """Positions per session for every batch; sizes differ by one at most.

    129 trials at 64 are 43+43+43, not 64+64+1. Every session gives every batch its share. Each
    member has its own order, a function of (seed, member, epoch). Where trials end at different
    bins (`n_trial_bins`, per session), a batch holds trials of about one length, in every member
    the same; the order of the batches is drawn for the epoch.
    """
    k = n_batches(sum(n_trials), batch_size)
    chunks, first = [], 0
    ends = n_trial_bins or (None,) * len(n_trials)
    for s, n in enumerate(n_trials):
        # Each session's larger chunks begin where the last session's ended: the sums balance too.
        sizes = [n // k + ((b - first) % k < n % k) for b in range(k)]
        order = _by_length(streams.order(f"order.{s}", epoch, n), ends[s])
        chunks.append(order.split(sizes, dim=1))
        first = (first + n) % k
    batches = [tuple(session[b] for session in chunks) for b in range(k)]
    if all(of_session is None for of_session in ends):
        return batches
    # One order for all members: their batches end at the same bins, whoever trains beside them.
    everybody = Streams(streams.seed, streams.members.new_zeros(1))
    return [batches[b] for b in everybody.order("order.batches", epoch, k)[0].tolist()]


def _by_length(
    order: Int[Tensor, "P B"], n_trial_bins: Int[Tensor, " B"] | None
) -> Int[Tensor, "P B"]:
    """The longest trials first; in random order where they are as long."""
    if n_trial_bins is None:
        return order
    return order.gather(1, (-n_trial_bins[order]).argsort(dim=1, stable=True))


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
