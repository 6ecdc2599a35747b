"""Spikes of a chaotic recurrent network, with or without input pulses.

The system of Sussillo et al. 2016 (arXiv:1608.06315) with the constants of the authors' release.
Axes: `C` condition, `B` trial, `L` bin (one step of the network), `N` unit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.trial_sets import smallest_type, trial_set_by_condition, whole_split
from lfads_torch.declare import setting
from lfads_torch.errors import SettingsError

__all__ = ["ChaoticNetworkSettings", "chaotic_network_recording", "run_network"]


@dataclass(frozen=True, kw_only=True)
class ChaoticNetworkSettings:
    """Defaults: the release's sizes; `has_pulses` adds one input pulse to every trial."""

    n_conditions: int = setting(400, "initial states", at_least=1)
    n_trials_per_condition: int = setting(10, "trials of each condition", at_least=1)
    n_valid_per_condition: int = setting(2, "of these, for validation", at_least=0)
    n_test_per_condition: int = setting(0, "of these, for test", at_least=0)
    n_units: int = setting(50, "units of the network", at_least=2)
    n_observed: int = setting(0, "units observed in one session; 0: all", at_least=0)
    session: int = setting(
        0, "which session of the network, where not all units are observed", at_least=0
    )
    duration_s: float = setting(1.0, "length of a trial", unit="s", above=0.0)
    bin_width_s: float = setting(0.01, "step of the network and bin width", unit="s", above=0.0)
    time_constant_s: float = setting(0.025, "time constant of a unit", unit="s", above=0.0)
    gain: float = setting(
        1.5, "g: strength of the recurrent weights (1.5, or 2.5: more chaotic)", at_least=0.0
    )
    max_rate_hz: float = setting(
        30.0, "highest rate of each unit in each trial", unit="spikes/s", above=0.0
    )
    has_pulses: bool = setting(False, "one input pulse per trial, at its own random time")
    pulse_magnitude: float = setting(
        20.0, "size of the pulse; 0: the control without a pulse", at_least=0.0
    )


def chaotic_network_recording(
    settings: ChaoticNetworkSettings, rng: np.random.Generator
) -> Recording:
    """Trials of Poisson units whose rates follow a random network.

    `x <- (1 - dt/tau) x + (dt/tau) g W tanh(x)`, `W ~ N(0, 1/N)`; in the bin of the pulse also
    `x += (dt/tau) B * magnitude`, `B ~ N(0, 1)`. The first bin is one step after the initial state.
    Rates are tanh(x), rescaled to 0 .. max_rate_hz per trial and unit, so that two trials of a
    condition whose pulses differ also differ before the pulse, by an offset and a scale.

    Trials of a condition share the initial state `N(0, 1)`; every trial has its own pulse time, a
    bin in the middle half. `true_inputs` holds the magnitude in the bin of the pulse, 0 elsewhere;
    `extra["pulse_time_s"]` is the centre of that bin. With magnitude 0 the times are those at which
    pulses would have come. Network, states, times and spikes are drawn in this order whether there
    are pulses or not: one seed gives matched recordings.

    With `n_observed` the recording is one session of several: network and conditions are those of
    the seed, the units, times and spikes those of the session. Sessions observe different units as
    long as there are any left, then drawn ones.
    """
    n_bins = _n_bins(settings)
    _need_units(settings)
    n_trials = settings.n_conditions * settings.n_trials_per_condition
    recurrent = rng.standard_normal((settings.n_units, settings.n_units)) / np.sqrt(
        settings.n_units
    )
    pulse_weights = rng.standard_normal(settings.n_units)
    states = rng.standard_normal((settings.n_conditions, settings.n_units))
    observed, own = _session(settings, rng)
    first, last = n_bins // 4, n_bins // 4 + max(n_bins // 2, 1)
    pulse_bin = own.integers(first, last, n_trials)
    condition = np.repeat(np.arange(settings.n_conditions), settings.n_trials_per_condition)
    inputs = _inputs(settings, pulse_bin, n_bins)
    activity = run_network(
        states[condition], inputs, recurrent=settings.gain * recurrent, pulse_weights=pulse_weights,
        step=settings.bin_width_s / settings.time_constant_s,
    )  # fmt: skip
    rates = _unit_range(activity)[:, :, observed] * settings.max_rate_hz
    counts = own.poisson(rates * settings.bin_width_s)
    trial_set = trial_set_by_condition(
        condition, settings.n_valid_per_condition, settings.n_test_per_condition
    )
    return Recording(
        counts=smallest_type(counts),
        bin_width_s=settings.bin_width_s,
        trial_ids=np.arange(n_trials),
        unit_ids=observed,
        session=f"chaotic_{settings.session}" if settings.n_observed else "chaotic_network",
        condition=condition,
        true_rates=rates.astype(np.float32),
        true_inputs=inputs[:, :, None].astype(np.float32) if settings.has_pulses else None,
        split=whole_split(trial_set, counts, {"method": "last trials of each condition"}),
        extra={"pulse_time_s": (pulse_bin + 0.5) * settings.bin_width_s}
        if settings.has_pulses
        else {},
        provenance={
            "source": "synthetic", "system": "chaotic_network", "settings": asdict(settings),
        },
    )  # fmt: skip


def _inputs(
    settings: ChaoticNetworkSettings, pulse_bin: NDArray[np.int64], n_bins: int
) -> NDArray[np.float64]:
    """The magnitude in the bin of each trial's pulse, 0 elsewhere: [B, T]."""
    inputs = np.zeros((len(pulse_bin), n_bins))
    if settings.has_pulses:
        inputs[np.arange(len(pulse_bin)), pulse_bin] = settings.pulse_magnitude
    return inputs


def _session(
    settings: ChaoticNetworkSettings, rng: np.random.Generator
) -> tuple[NDArray[np.int64], np.random.Generator]:
    """Which units are observed, and what draws everything that differs between sessions."""
    n, size = settings.n_units, settings.n_observed
    if size == 0:
        return np.arange(n), rng
    own = rng.spawn(settings.session + 1)[-1]
    first = settings.session * size
    order = rng.permutation(n) if first + size <= n else own.permutation(n)
    chosen = order[first : first + size] if first + size <= n else order[:size]
    return np.sort(chosen), own


def _need_units(settings: ChaoticNetworkSettings) -> None:
    if settings.n_observed > settings.n_units:
        raise SettingsError(
            f"n_observed is {settings.n_observed} and the network has n_units {settings.n_units}; "
            "observe that many at most."
        )


def run_network(
    states: NDArray[np.float64],
    inputs: NDArray[np.float64],
    *,
    recurrent: NDArray[np.float64],
    pulse_weights: NDArray[np.float64],
    step: float,
) -> NDArray[np.float64]:
    """tanh(x) after every step, [B, L, N], from states [B, N] and inputs [B, L].

    `recurrent` [N, N] (to, from) includes the gain; `step` is dt/tau.
    """
    n_trials, n_bins = inputs.shape
    activity = np.empty((n_trials, n_bins, states.shape[1]))
    for time in range(n_bins):
        drive = np.tanh(states) @ recurrent.T + inputs[:, time, None] * pulse_weights
        states = (1.0 - step) * states + step * drive
        activity[:, time] = np.tanh(states)
    return activity


def _unit_range(activity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each trial's and unit's own minimum to 0 and maximum to 1, [B, L, N]."""
    low = activity.min(axis=1, keepdims=True)
    extent = activity.max(axis=1, keepdims=True) - low
    return np.asarray((activity - low) / np.where(extent > 0, extent, 1.0))


def _n_bins(settings: ChaoticNetworkSettings) -> int:
    n_bins = round(settings.duration_s / settings.bin_width_s)
    if n_bins < 2 or abs(n_bins * settings.bin_width_s - settings.duration_s) > 1e-9:
        raise SettingsError(
            f"duration_s {settings.duration_s:g} does not divide into at least two bins of "
            f"bin_width_s {settings.bin_width_s:g}. Choose a duration that is a multiple of the "
            "bin width."
        )
    if settings.bin_width_s >= settings.time_constant_s:
        raise SettingsError(
            f"bin_width_s {settings.bin_width_s:g} is the step of the network and must be below "
            f"time_constant_s ({settings.time_constant_s:g}), or the steps are not stable."
        )
    return n_bins
