"""The number of the arithmetic that makes a run's results from its seed, data and settings."""

from __future__ import annotations

__all__ = ["ARITHMETIC"]

# Raised by one with every change after which the same seed, data and settings on the same machine
# give other bits anywhere in training: draws of random numbers and the names of their sites,
# initial weights, order of trials, the model, the losses, augmentations, the optimiser, the score,
# the rules of a search, and the order of sums in any backend of the kernels. Not raised for what
# the record of a run tells already (device, threads, backend, precision, PyTorch, machine), nor
# for a new setting whose default leaves the results as they were.
# tests/golden fails where the reference's results change and this number does not; a backend's
# order of sums is below what two machines agree on, so that no stored number can tell it.
ARITHMETIC = 2
