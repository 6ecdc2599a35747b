"""A session's trials that stay in their file: each batch reads its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.data.trials_in_file import TrialsInFile
from lfads_torch.training.resident import VALUES_AT_ONCE, KnownOfTrials, ResidentTrials

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from lfads_torch.loss.observations.base import Observation

__all__ = ["FiledTrials", "Trials", "at_hand", "file_trials", "read_ahead"]

Indices = tuple["Int[Tensor, 'P _']", ...]


@dataclass(frozen=True)
class FiledTrials:
    """As `ResidentTrials`, whose counts are read when a batch needs them."""

    counts: TrialsInFile
    has_missing: bool  # anywhere in the recording
    constant: Float[Tensor, " B"]
    known: KnownOfTrials

    @property
    def n_trials(self) -> int:
        return len(self.counts)

    @property
    def rows(self) -> Int[Tensor, " B"]:
        return self.known.rows

    @property
    def n_trial_bins(self) -> Int[Tensor, " B"] | None:
        return self.known.n_trial_bins

    def take(self, positions: Int[Tensor, " B"]) -> FiledTrials:
        """These trials only; nothing is read."""
        return replace(
            self,
            counts=self.counts[positions.cpu().numpy()],
            constant=self.constant[positions],
            known=self.known.take(positions),
        )

    def read(self) -> ResidentTrials:
        """All of these trials on the device."""
        like = self.constant
        values = torch.empty(self.counts.shape, device=like.device, dtype=like.dtype)
        present = torch.ones(values.shape, device=like.device, dtype=torch.bool)
        for part, block, missing in _blocks(self.counts, like):
            values[part] = torch.where(missing, 0.0, block)
            present[part] = ~missing
        return self.known.resident(
            counts=values,
            is_present=present if self.has_missing else None,
            constant=self.constant,
        )


Trials = ResidentTrials | FiledTrials


def file_trials(
    counts: TrialsInFile,
    observation: Observation,
    *,
    known: KnownOfTrials,
    ic_bins: int,
    dtype: torch.dtype,
) -> FiledTrials:
    """As `resident.reside`, in one pass over the file that keeps no counts."""
    device = known.rows.device
    constant = torch.empty(len(counts), device=device, dtype=torch.float64)
    has_missing = False
    for part, block, missing in _blocks(counts, torch.empty(0, device=device, dtype=dtype)):
        has_missing = has_missing or bool(missing.any())
        values = torch.where(missing, 0.0, block)
        entries = observation.constant(values[:, ic_bins:].double())
        constant[part] = torch.where(missing[:, ic_bins:], 0.0, entries).sum((1, 2))
    return FiledTrials(counts, has_missing, constant.to(dtype), known)


def _blocks(counts: TrialsInFile, like: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Trials, their values and which are missing, in the blocks of `resident.reside`."""
    size = max(1, VALUES_AT_ONCE // max(counts.shape[1] * counts.shape[2], 1))
    start = 0
    for read in counts.blocks(size):
        block = torch.as_tensor(read.astype("float64")).to(device=like.device, dtype=like.dtype)
        yield slice(start, start + len(read)), block, block.isnan()
        start += len(read)


def at_hand(
    trials: tuple[Trials, ...], indices: Indices
) -> tuple[tuple[ResidentTrials, ...], Indices]:
    """Trials on the device that hold what the indices ask for, and the indices into them.

    Of a session in a file the trials that any member needs are read, each once, in its order.
    """
    pairs = [_of_session(*each) for each in zip(trials, indices, strict=True)]
    return tuple(part for part, _ in pairs), tuple(index for _, index in pairs)


def _of_session(trials: Trials, index: Tensor) -> tuple[ResidentTrials, Tensor]:
    if isinstance(trials, ResidentTrials):
        return trials, index
    wanted, places = torch.unique(index, return_inverse=True)
    return trials.take(wanted).read(), places.view(index.shape)


def read_ahead(
    trials: tuple[Trials, ...], batches: Iterable[Indices]
) -> Iterator[tuple[tuple[ResidentTrials, ...], Indices]]:
    """`at_hand` for every batch; of a file the next batch is read while one is computed."""
    if not any(isinstance(part, FiledTrials) for part in trials):
        for batch in batches:
            yield at_hand(trials, batch)
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead: Future[tuple[tuple[ResidentTrials, ...], Indices]] | None = None
        for batch in batches:
            coming = reader.submit(at_hand, trials, batch)
            if ahead is not None:
                yield ahead.result()
            ahead = coming
        if ahead is not None:
            yield ahead.result()
