"""Time series beside the spikes of a session: behaviour, and signals that become units.

A series is an array `NAME` [sample, dimension] with `NAME_times` [sample], or with `NAME_rate_hz`,
one number, and `NAME_start_s`. It becomes units where `signals` of the options name it, or where
the file says of which observation family it is: `NAME_observation`, or an attribute `observation`.
Otherwise it is behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.stored import StoredArray, StoredArrays
from lfads_torch.errors import DataError, FormatError

__all__ = [
    "Signal", "UnitSignal", "behaviour_in", "one_axis_of_times", "stated_units",
    "unit_signals_in",
]  # fmt: skip

GROUPS = tuple(f"{group}{dot}" for group in ("behaviour", "signals") for dot in ("/", "."))
MOST_AXES = 2  # sample, dimension
EXAMPLE = "--signals emg=gamma"


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A series sampled at its own times."""

    values: NDArray[Any]  # [S, D]
    times: NDArray[np.float64]  # [S], s
    units: str | None = None


@dataclass(frozen=True, kw_only=True)
class UnitSignal:
    """A series whose dimensions become units of the recording."""

    name: str
    family: str  # observation family of these units
    signal: Signal

    @property
    def unit_ids(self) -> list[str]:
        n_dimensions = self.signal.values.shape[1]
        if n_dimensions == 1:
            return [self.name]
        return [f"{self.name}_{dimension}" for dimension in range(n_dimensions)]


def unit_signals_in(
    stored: StoredArrays, options: ReadOptions, sampled: Mapping[str, Signal]
) -> tuple[UnitSignal, ...]:
    """Series that become units, in the order in which they are named, then in that of the file.

    `sampled` are those of as many samples as there are bins of counts, at the times of these;
    times of their own come first.
    """
    asked = dict(_asked(stored, word) for word in options.signals)
    for name, array in stored.arrays.items():
        family = None if array.is_per_trial else _own_family(stored, name)
        if family is not None and not asked.get(_short(name)):
            asked[_short(name)] = family
    return tuple(
        UnitSignal(name=name, family=family, signal=_with_two_axes(stored, name, sampled))
        for name, family in asked.items()
        if _need_family(stored, name, family)
    )


def behaviour_in(
    stored: StoredArrays, options: ReadOptions, sampled: Mapping[str, Signal], taken: set[str]
) -> dict[str, Signal]:
    """Series that are behaviour: those that the options name, else all that are not `taken`."""
    found = {
        name: signal
        for name, signal in sampled.items()
        if name not in taken and (not options.behaviour or name in options.behaviour)
    }
    for name, array in stored.arrays.items():
        short = _short(name)
        if short in taken or not _has_times(stored, name) or array.is_per_trial:
            continue
        if short not in options.behaviour and (options.behaviour or not array.is_behaviour):
            continue
        found[short] = _signal(stored, name, "behaviour")
    for asked in options.behaviour:
        if asked not in found:
            raise _no_series(stored, asked, "behaviour", taken)
    return found


def stated_units(stored: StoredArrays, name: str) -> str | None:
    """The unit of measure that the file states of an array."""
    units = stored.arrays[name].attributes.get("units")
    return None if units is None else str(units)


def one_axis_of_times(stored: StoredArrays, name: str, what: str) -> NDArray[np.float64]:
    """An array of times, [S]; axes of length 1 are dropped."""
    values = stored.numbers(name, what)
    if values.size != max(values.shape, default=1) and values.size:
        raise DataError(
            f"{stored.path}: array {name!r} for the {what} has shape {values.shape}; one axis is "
            "needed, in seconds."
        )
    return values.reshape(-1).astype(np.float64)


def _asked(stored: StoredArrays, word: str) -> tuple[str, str]:
    """Name and family of "emg=gamma"; the family is empty where it is left out."""
    name, _, family = word.partition("=")
    if not name.strip():
        raise FormatError(
            f"{stored.path}: --signals {word!r} names no series; needed is NAME=FAMILY, such as "
            f"{EXAMPLE}."
        )
    return name.strip(), family.strip()


def _own_family(stored: StoredArrays, name: str) -> str | None:
    """The observation family that the file states of a series; None where it states none."""
    if not _has_times(stored, name):
        return None
    own = stored.arrays[name].attributes.get("observation")
    word = stored.word(f"{name}_observation") if own is None else own
    if isinstance(word, bytes):
        return word.decode(errors="replace")
    return None if word is None else str(word)


def _need_family(stored: StoredArrays, name: str, family: str) -> bool:
    if not family:
        raise FormatError(
            f"{stored.path}: --signals {name} does not say of which observation family its values "
            f"are, and the file has no {name}_observation either. Give NAME=FAMILY, such as "
            f"{name}=gaussian: gamma suits values above 0 (EMG), zero_inflated_gamma also exact "
            "zeros (calcium events), gaussian all others (field potentials)."
        )
    return True


def _with_two_axes(stored: StoredArrays, name: str, sampled: Mapping[str, Signal]) -> Signal:
    if name in sampled and not _has_times(stored, name):
        return sampled[name]
    found = [each for each in stored.arrays if _short(each) == name and _has_times(stored, each)]
    if not found or stored.arrays[found[0]].is_per_trial:
        raise _no_series(stored, name, "signals", set())
    signal = _signal(stored, found[0], "signals")
    values = signal.values[:, None] if signal.values.ndim == 1 else signal.values
    if values.ndim != MOST_AXES:
        raise DataError(
            f"{stored.path}: array {found[0]!r} for the signals has shape {values.shape}; two axes "
            "are needed: sample, dimension."
        )
    return Signal(values=values, times=signal.times, units=signal.units)


def _signal(stored: StoredArrays, name: str, what: str) -> Signal:
    values = stored.numbers(name, what)
    # A row vector of MATLAB is a series of one dimension.
    if values.ndim == 2 and values.shape[0] == 1 != _n_times(stored, name, values):
        values = values.T
    times = _times(stored, name, len(values) if values.ndim else 0)
    return Signal(values=values, times=times, units=stated_units(stored, name))


def _n_times(stored: StoredArrays, name: str, values: NDArray[Any]) -> int:
    times = stored.arrays.get(f"{name}_times")
    return values.size if times is None else int(np.prod(times.shape))


def _times(stored: StoredArrays, name: str, n_samples: int) -> NDArray[np.float64]:
    if f"{name}_times" in stored.arrays:
        return one_axis_of_times(stored, f"{name}_times", f"times of {name}")
    rate = _number(stored, name, "rate_hz") or 0.0
    first = _number(stored, name, "start_s")
    if first is None:
        first = stored.scalar("recording_start_s") or 0.0
    if not np.isfinite(rate) or rate <= 0:
        raise FormatError(
            f"{stored.path}: {name}_rate_hz is {rate:g}; samples per second, above 0, are needed."
        )
    return np.asarray(first + np.arange(n_samples) / rate, dtype=np.float64)


def _has_times(stored: StoredArrays, name: str) -> bool:
    has_rate = "rate_hz" in stored.arrays[name].attributes or f"{name}_rate_hz" in stored.arrays
    return has_rate or f"{name}_times" in stored.arrays


def _number(stored: StoredArrays, name: str, what: str) -> float | None:
    """A number beside a series: the attribute `what` of it, or the array `NAME_what`."""
    own = stored.arrays[name].attributes.get(what)
    if own is None:
        return stored.scalar(f"{name}_{what}")
    value = np.asarray(own)
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise FormatError(
            f"{stored.path}: the attribute {what} of {name} is {own!r}; one number is needed."
        )
    return float(value.reshape(-1)[0])


def _no_series(stored: StoredArrays, name: str, what: str, taken: set[str]) -> FormatError:
    """Why there is no such series."""
    if name in taken:
        return FormatError(
            f"{stored.path}: {name!r} becomes units of the recording, by --signals or the file's "
            "own word, and so can't be behaviour too; leave it out of --behaviour."
        )
    try:
        array: StoredArray = stored.find(name, what)
    except FormatError as error:
        return error
    if array.is_per_trial:
        return FormatError(
            f"{stored.path}: {name!r} is a column of the table of trials, one value for each, and "
            "no behaviour over time; as condition it is --condition."
        )
    if array.kind != "number":
        found = array.note or f"it has type {array.type_name}, and numbers are needed"
        return FormatError(f"{stored.path}: array {name!r} for the {what} can't be read: {found}.")
    return FormatError(
        f"{stored.path}: nothing says when the samples of {name!r} were taken. Store "
        f"{name}_times, a time in seconds for each, or {name}_rate_hz, samples per second, with "
        f"{name}_start_s. Found: {stored.listing()}."
    )


def _short(name: str) -> str:
    for group in GROUPS:
        name = name.removeprefix(group)
    return name
