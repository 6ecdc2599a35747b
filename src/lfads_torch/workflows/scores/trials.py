"""The trials that are scored, and what the model inferred of them, cut to the generated bins.

Axes: `B` trial, `T` generated bin, `L` recording bin, `N` unit, `F` factor, `U` inferred input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["Case", "Protocol", "ScoredTrials", "Signals", "random_numbers"]


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Posterior averages of some trials."""

    rates: NDArray[np.float32]  # [B, T, N], spikes/s (counts' own unit if they are not spikes)
    rate_posterior_std: NDArray[np.float32] | None  # [B, T, N]
    factors: NDArray[np.float32]  # [B, T, F]
    input_mean: NDArray[np.float32] | None  # [B, T, U]


@dataclass(frozen=True, kw_only=True)
class ScoredTrials:
    """Trials of a recording; signals are fetched when first asked for."""

    recording: Recording  # these trials only, all L bins
    first_bin: int  # where generation starts
    count_factor: NDArray[np.float64]  # [N], rates times this are expected counts per bin
    fetch: Callable[[], Signals]

    @cached_property
    def signals(self) -> Signals:
        return self.fetch()

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """[B, T, N], NaN where missing."""
        return self.recording.counts[:, self.first_bin :].astype(np.float64)

    @cached_property
    def expected_counts(self) -> NDArray[np.float64]:
        """The model's mean per bin, [B, T, N]."""
        return self.signals.rates.astype(np.float64) * self.count_factor

    @property
    def condition(self) -> NDArray[Any] | None:
        return self.recording.condition

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Centres of the generated bins, [T]."""
        return self.recording.time_s[self.first_bin :]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What the figures depend on beside model and trials."""

    seed: int = 0  # of masks, halves and bootstrap
    n_bootstrap: int = 1000  # 0: no intervals
    n_masks: int = 5
    behaviour_lag_ms: float = 0.0  # behaviour this much later than the rates that predict it
    with_baselines: bool = False  # the slow ones too


@dataclass(frozen=True, kw_only=True)
class Case:
    """What every score is computed from."""

    model: TrainedModel  # the best
    positions: NDArray[np.int64]  # of the evaluated trials among the model's trials
    evaluated: ScoredTrials
    train: ScoredTrials | None  # None: not known, see `no_train_reason`
    no_train_reason: str
    is_encoded: NDArray[np.bool_]  # [N]
    is_encoded_bin: NDArray[np.bool_]  # [T]
    protocol: Protocol
    set_name: str
    is_used_for_selection: bool
    others: tuple[TrainedModel, ...] = ()  # an ensemble's: `evaluated` has their mean rates
    alone: ScoredTrials | None = None  # of an ensemble: the trials as the best model infers them

    @property
    def models(self) -> tuple[TrainedModel, ...]:
        return (self.model, *self.others)

    @property
    def of_best_model(self) -> ScoredTrials:
        """The evaluated trials with every signal of the best model, its rates too."""
        return self.evaluated if self.alone is None else self.alone

    @property
    def bin_width_s(self) -> float:
        return float(self.evaluated.recording.bin_width_s)

    @cached_property
    def is_spiking(self) -> NDArray[np.bool_]:
        """Which units count spikes, [N]: they have bits per spike, the others R2."""
        from lfads_torch.workflows.families import is_spiking_unit

        return is_spiking_unit(self.model)

    @property
    def continuous_families(self) -> str:
        """Names of the families of the units that count no spikes."""
        from lfads_torch.workflows.families import unit_observations

        names = (each.name for each in unit_observations(self.model) if not each.is_spiking)
        return ", ".join(dict.fromkeys(names))


def random_numbers(seed: int) -> np.random.Generator:
    """A generator of its own for every use, so that no score moves another's numbers."""
    return np.random.Generator(np.random.Philox(seed))
