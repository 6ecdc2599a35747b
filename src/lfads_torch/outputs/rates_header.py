"""What a rates file holds: its header, and the results of consecutive trials.

Axes: `B` trial, `T` generated bin, `N` unit, `F` factor, `U` inferred input, `Z` initial condition,
`H` generator unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import OutputError

__all__ = ["RatesChunk", "RatesHeader", "check_header"]


@dataclass(frozen=True, kw_only=True)
class RatesHeader:
    """Everything about a rates file that is known before the first trial is inferred.

    `attributes` are those of docs/formats.md (`bin_width_s`, `run`, `member`, ...): text or
    numbers; None leaves one out. Sizes of 0 leave their variables out.
    """

    trial_ids: NDArray[Any]  # [B], integers or text, the user's order
    unit_ids: NDArray[Any]  # [N], integers or text
    time_s: NDArray[np.float64]  # [T], centres of the bins relative to the alignment event
    trial_set: NDArray[Any]  # [B], train, valid, test, unused or new
    is_encoded: NDArray[np.bool_]  # [N]
    is_encoded_bin: NDArray[np.bool_]  # [T]
    n_factors: int
    n_initial_condition: int
    n_generator_units: int
    n_inferred_inputs: int = 0  # 0: a model without controller
    condition: NDArray[Any] | None = None  # [B], integers or text
    n_trial_bins: NDArray[np.int64] | None = None  # [B], of the generated bins; None: all
    session_bin: NDArray[np.int64] | None = None  # [B], where in its session each chop begins
    has_rate_posterior_std: bool = True  # not with fewer than two posterior samples
    has_latent_std: bool = True  # not where the model is not variational
    has_rate_member_std: bool = False  # only of an ensemble
    has_generator_states: bool = False
    observation: NDArray[Any] | None = None  # [N], family of each unit; None: not said
    rate_unit: NDArray[Any] | str = "spikes/s"  # [N], of each unit, or of all
    attributes: Mapping[str, str | float | int | list[float] | list[int] | None] = field(
        default_factory=dict
    )

    @property
    def rates_units(self) -> str:
        """The unit of measure of the rates, in words where units differ in it."""
        found = list(dict.fromkeys(np.atleast_1d(self.rate_unit).tolist()))
        return found[0] if len(found) == 1 else f"{' or '.join(found)}, see rate_unit"

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each netCDF dimension in use."""
        sizes = {
            "trial": len(self.trial_ids),
            "time": len(self.time_s),
            "unit": len(self.unit_ids),
            "factor": self.n_factors,
            "inferred_input": self.n_inferred_inputs,
            "initial_condition_dimension": self.n_initial_condition,
            "generator_unit": self.n_generator_units,
        }
        return {name: size for name, size in sizes.items() if size}


@dataclass(frozen=True, kw_only=True)
class RatesChunk:
    """The results of consecutive trials; what the header leaves out is None."""

    rates: NDArray[np.floating[Any]]  # [B, T, N], spikes/s
    rate_posterior_std: NDArray[np.floating[Any]] | None = None  # [B, T, N], spikes/s
    rate_member_std: NDArray[np.floating[Any]] | None = None  # [B, T, N], spikes/s
    factors: NDArray[np.floating[Any]]  # [B, T, F]
    inferred_input_mean: NDArray[np.floating[Any]] | None = None  # [B, T, U]
    inferred_input_std: NDArray[np.floating[Any]] | None = None  # [B, T, U]
    initial_condition_mean: NDArray[np.floating[Any]]  # [B, Z]
    generator_initial_state: NDArray[np.floating[Any]]  # [B, H]
    initial_condition_std: NDArray[np.floating[Any]] | None = None  # [B, Z]
    generator_states: NDArray[np.floating[Any]] | None = None  # [B, T, H]


def check_header(header: RatesHeader) -> None:
    """Raise where a size is 0 that must not be, or something has another length than its axis."""
    sizes = header.sizes
    for name in (
        "trial",
        "time",
        "unit",
        "factor",
        "initial_condition_dimension",
        "generator_unit",
    ):
        if name not in sizes:
            raise OutputError(f"a rates file needs at least one {name}; this one would have none.")
    lengths = {
        "trial_set": "trial",
        "condition": "trial",
        "n_trial_bins": "trial",
        "session_bin": "trial",
        "is_encoded": "unit",
        "is_encoded_bin": "time",
    }
    for name, dimension in lengths.items():
        values = getattr(header, name)
        if values is not None and len(values) != sizes[dimension]:
            raise ValueError(f"{name} has {len(values)} entries; {sizes[dimension]} are needed")
