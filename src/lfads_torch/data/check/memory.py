"""How much memory training takes, and how many members are worth training at once: from sizes.

A step's store is what the forward pass leaves for the backward pass: as many numbers of a cell per
hidden unit, bin and trial as were counted on the preset `maze_peer` for each backend.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "MemoryEstimate",
    "SizesOfStep",
    "StoredPerEntry",
    "even_groups",
    "stored_per_entry",
]

# Python, PyTorch and the readers, before any data: measured with PyTorch 2.13 for the CPU.
PROCESS_BYTES = 280e6
COPIES_OF_WEIGHTS = 4  # of every member: weights, two moments, best
MORE_COPIES_AT_ONCE = 8  # of those who train: a group of its own, and the epoch's start
# What lies free between the arrays of a step, and the compiled library's own store.
SHARE_OF_HOLES = 0.3
COPIES_OF_COUNTS = 3  # as read, on the device, and divided into sets
# On one thread a member of four takes as long as one of twenty (benchmarks/population_cost.py);
# more at once only take memory. In bytes, so that small models still share their operator calls.
WORTHWHILE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class StoredPerEntry:
    """Numbers that one backend keeps: per hidden unit of a cell, per unit of the likelihood, per
    encoded unit, and of each bin and trial."""

    cell: float
    likelihood: float
    encoded: float


_STORED = {
    "compiled": StoredPerEntry(4.0, 0.25, 1.0),  # state, three gates; a mask of bytes
    "portable": StoredPerEntry(5.0, 4.25, 4.0),
    "reference": StoredPerEntry(7.0, 4.25, 4.0),
    # An upper bound: the recorded step holds a second copy at fixed addresses.
    "triton": StoredPerEntry(14.0, 8.0, 4.0),
}


def stored_per_entry(backend: str, *, is_poisson: bool = True) -> StoredPerEntry:
    """Of `compiled`, `compiled-avx2`, ...; likelihoods but Poisson are PyTorch operations."""
    stored = _STORED[backend.partition("-")[0]]
    if is_poisson:
        return stored
    return StoredPerEntry(
        stored.cell, max(stored.likelihood, 6.0), max(stored.encoded, _STORED["portable"].encoded)
    )


@dataclass(frozen=True, kw_only=True)
class SizesOfStep:
    """Of one member's batch. Sizes of a controller that is not there are 0."""

    n_trials: int
    n_encoded_bins: int
    n_bins: int  # generated
    n_units: int
    n_encoded_units: int
    ic_encoder_size: int
    controller_encoder_size: int
    controller_size: int
    generator_size: int
    n_factors: int
    n_inputs: int

    def numbers(self, stored: StoredPerEntry) -> float:
        """What the forward pass keeps for the backward pass."""
        encoders = 2 * (self.ic_encoder_size + self.controller_encoder_size)
        per_encoded_bin = stored.cell * encoders + stored.encoded * self.n_encoded_units
        cells = self.generator_size + self.controller_size
        # Beside the cells: dropout masks of their inputs, what the controller sees, its posterior.
        beside = self.generator_size + 4 * self.controller_encoder_size
        beside += 4 * self.n_factors + 14 * self.n_inputs
        per_bin = stored.cell * cells + beside + stored.likelihood * self.n_units
        return self.n_trials * (self.n_encoded_bins * per_encoded_bin + self.n_bins * per_bin)


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes. Right within a third above the process itself, on the CPU."""

    shared: float  # the process and the data
    per_member: float  # whether it trains or waits
    per_member_at_once: float  # beside that, while it trains

    @classmethod
    def of_sizes(
        cls, step: SizesOfStep, stored: StoredPerEntry, *, n_weights: int, n_counts: int,
        bytes_per_number: int = 4,
    ) -> MemoryEstimate:  # fmt: skip
        """`n_counts`: entries of all trials."""
        numbers = step.numbers(stored) + MORE_COPIES_AT_ONCE * n_weights
        numbers *= 1 + SHARE_OF_HOLES
        return cls(
            shared=PROCESS_BYTES + bytes_per_number * COPIES_OF_COUNTS * n_counts,
            per_member=bytes_per_number * COPIES_OF_WEIGHTS * n_weights,
            per_member_at_once=bytes_per_number * numbers,
        )

    def total(self, n_members: int, n_at_once: int) -> float:
        """With so many members of which so many train at once."""
        return self.shared + n_members * self.per_member + n_at_once * self.per_member_at_once

    def members_that_fit(self, n_members: int, usable: float | None) -> int:
        """At once; all where nobody knows what is free, and one at least."""
        if usable is None:
            return n_members
        left = usable - self.shared - n_members * self.per_member
        return max(1, min(n_members, int(left // self.per_member_at_once)))

    def worthwhile_members(self, n_members: int, threads: int) -> int:
        """More at once gain nothing on a CPU: within WORTHWHILE_BYTES, but one for every thread."""
        within = int(WORTHWHILE_BYTES // max(self.per_member_at_once, 1.0))
        return max(1, min(n_members, max(within, threads)))


def even_groups(n_members: int, n_at_once: int) -> int:
    """Members of a group where as many groups as are needed are of equal size, nearly."""
    n_groups = -(-n_members // n_at_once)
    return -(-n_members // n_groups)
