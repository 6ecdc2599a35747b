"""A session's trials as tensors on the device, gathered by index for every batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int
    from numpy.typing import NDArray

    from lfads_torch.loss.observations.base import Observation

__all__ = ["VALUES_AT_ONCE", "KnownOfTrials", "ResidentTrials", "known_of", "reside"]

VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class KnownOfTrials:
    """What is known of trials beside their counts, on the device; see `ResidentTrials`."""

    rows: Int[Tensor, " B"]
    external_inputs: Float[Tensor, "B L X"] | None
    n_trial_bins: Int[Tensor, " B"] | None
    trial_inputs: Float[Tensor, "B C"] | None

    def take(self, positions: Int[Tensor, " B"]) -> KnownOfTrials:
        """Of these trials only."""
        return KnownOfTrials(
            rows=self.rows[positions],
            external_inputs=_taken(self.external_inputs, positions),
            n_trial_bins=_taken(self.n_trial_bins, positions),
            trial_inputs=_taken(self.trial_inputs, positions),
        )

    def resident(
        self,
        *,
        counts: Float[Tensor, "B L N"],
        is_present: Bool[Tensor, "B L N"] | None,
        constant: Float[Tensor, " B"],
    ) -> ResidentTrials:
        """The trials with their counts."""
        return ResidentTrials(
            counts=counts,
            is_present=is_present,
            constant=constant,
            external_inputs=self.external_inputs,
            rows=self.rows,
            n_trial_bins=self.n_trial_bins,
            trial_inputs=self.trial_inputs,
        )


@dataclass(frozen=True)
class ResidentTrials:
    """Trials of one session. `rows` number them for the random streams: the place in the file."""

    counts: Float[Tensor, "B L N"]  # missing entries are 0
    is_present: Bool[Tensor, "B L N"] | None  # None where nothing is missing
    constant: Float[Tensor, " B"]  # of the likelihood, over present entries of the generated bins
    external_inputs: Float[Tensor, "B L X"] | None
    rows: Int[Tensor, " B"]
    n_trial_bins: Int[Tensor, " B"] | None = None  # bins of each trial; None: all have L
    trial_inputs: Float[Tensor, "B C"] | None = None

    @property
    def n_trials(self) -> int:
        return int(self.counts.shape[0])

    def take(self, positions: Int[Tensor, " B"]) -> ResidentTrials:
        """These trials only."""
        return replace(
            self,
            counts=self.counts[positions],
            is_present=_taken(self.is_present, positions),
            constant=self.constant[positions],
            external_inputs=_taken(self.external_inputs, positions),
            rows=self.rows[positions],
            n_trial_bins=_taken(self.n_trial_bins, positions),
            trial_inputs=_taken(self.trial_inputs, positions),
        )


def reside(
    counts: NDArray[Any],  # any numeric type; NaN where missing
    observation: Observation,
    *,
    known: KnownOfTrials,
    ic_bins: int,
    dtype: torch.dtype,
) -> ResidentTrials:
    """Move trials [B, L, N] to where `known` is and compute the likelihood's constant once.

    Trials go some at a time, so that little is needed beside the counts and their copy.
    """
    device = known.rows.device
    values = torch.empty(counts.shape, device=device, dtype=dtype)
    constant = torch.empty(len(values), device=device, dtype=torch.float64)
    is_missing: Tensor | None = None
    at_once = max(1, VALUES_AT_ONCE // max(values[0].numel(), 1))
    for start in range(0, len(values), at_once):
        part = slice(start, start + at_once)
        block = torch.as_tensor(counts[part].astype("float64")).to(device=device, dtype=dtype)
        missing = block.isnan()
        if bool(missing.any()):
            if is_missing is None:
                is_missing = torch.zeros(values.shape, device=device, dtype=torch.bool)
            is_missing[part] = missing
            block = torch.where(missing, 0.0, block)
        values[part] = block
        entries = observation.constant(block[:, ic_bins:].double())
        entries = torch.where(missing[:, ic_bins:], 0.0, entries)
        constant[part] = entries.sum((1, 2))
    return known.resident(
        counts=values,
        is_present=None if is_missing is None else ~is_missing,
        constant=constant.to(dtype),
    )


def known_of(
    n_trials: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    external_inputs: NDArray[Any] | None = None,  # any numeric type
    trial_inputs: NDArray[Any] | None = None,  # any numeric type
    rows: NDArray[np.int64] | None = None,
    n_trial_bins: NDArray[np.int64] | None = None,
) -> KnownOfTrials:
    """What is known beside the counts, moved to the device.

    External inputs that are not known (NaN, as in forward bins) are zero.
    """
    numbers = torch.arange(n_trials) if rows is None else torch.as_tensor(rows)
    external = None
    if external_inputs is not None and external_inputs.shape[-1] > 0:
        external = torch.as_tensor(external_inputs.astype("float64")).to(device=device, dtype=dtype)
        external = torch.where(external.isnan(), 0.0, external)
    return KnownOfTrials(
        rows=numbers.to(device=device, dtype=torch.int64),
        external_inputs=external,
        n_trial_bins=None
        if n_trial_bins is None
        else torch.as_tensor(n_trial_bins).to(device=device, dtype=torch.int64),
        trial_inputs=None
        if trial_inputs is None or trial_inputs.shape[-1] == 0
        else torch.as_tensor(trial_inputs.astype("float64")).to(device=device, dtype=dtype),
    )


def _taken(values: Tensor | None, positions: Tensor) -> Tensor | None:
    return None if values is None else values[positions]
