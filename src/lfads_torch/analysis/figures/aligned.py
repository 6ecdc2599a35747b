"""The recording brought onto the trials, bins and units of `rates.nc`.

`rates.nc` covers the generated bins and the trials in use; the recording has all of them. Trials
and units are matched by id, bins by time. Axes: `B` trial, `T` generated bin, `N` unit of rates.nc.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureInputs
from lfads_torch.data.recording import Recording

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "SET_WORDS",
    "aligned",
    "bin_width_s",
    "condition_labels",
    "condition_names",
    "counts",
    "families",
    "first_bin",
    "is_encoded",
    "is_encoded_bin",
    "is_spiking",
    "like_units",
    "opened_rates",
    "per_reported",
    "rate_unit",
    "rate_units",
    "rates_of",
    "reported_set",
    "text_of",
    "trial_sets",
    "trials_in_use",
    "why_no_counts",
    "why_no_rates",
]

SET_WORDS = {"train": "train", "valid": "validation", "test": "test", "new": "new recording"}


def opened_rates(inputs: FigureInputs) -> xr.Dataset:
    """The dataset of `rates.nc`; figures ask `why_no_rates` first."""
    if inputs.rates is None:
        raise ValueError("these inputs hold no rates; ask why_no_rates before drawing")
    return inputs.rates


def why_no_rates(inputs: FigureInputs, *variables: str) -> str | None:
    """A sentence where the rates, or one of these variables, are missing."""
    if inputs.rates is None:
        return "The run has no rates.nc: it ended before inference (`lfads infer` writes it)."
    absent = [name for name in ("rates", "time", *variables) if name not in inputs.rates.variables]
    if absent:
        return f"rates.nc does not hold {', '.join(absent)}."
    if inputs.rates["rates"].size == 0:
        return "rates.nc holds no trials, bins or units."
    return None


def why_no_counts(inputs: FigureInputs) -> str | None:
    """A sentence where the recording is missing or is not the one that `rates.nc` came from."""
    recording = inputs.recording
    if recording is None:
        return "The recording was not found, so there are no counts to show beside the rates."
    if (reason := why_no_rates(inputs)) is not None:
        return reason
    rates = opened_rates(inputs)
    unknown = set(text_of(rates, "trial_id")) - set(recording.trial_ids.astype(str))
    if unknown:
        return (
            f"{len(unknown)} trials of rates.nc are not in the recording of session "
            f"{recording.session!r}: the rates are of another file."
        )
    if list(text_of(rates, "unit_id")) != list(recording.unit_ids.astype(str)):
        return (
            "The units of rates.nc are not those of the recording: the rates are of another file."
        )
    start = first_bin(inputs, recording)
    if start < 0 or start + rates.sizes["time"] > recording.n_bins:
        return (
            "The bins of rates.nc are not among those of the recording: check its start and its "
            "bin width."
        )
    return None


def first_bin(inputs: FigureInputs, recording: Recording) -> int:
    """Position in the recording of the first bin of `rates.nc`."""
    since_start = float(opened_rates(inputs)["time"].values[0]) - float(recording.time_s[0])
    return round(since_start / recording.bin_width_s)


def aligned(
    inputs: FigureInputs, values: NDArray[Any], trials: NDArray[np.int64] | None = None
) -> NDArray[Any]:
    """`values` [trial, bin, ...] of the recording at the trials (or some of them) of `rates.nc`."""
    recording, rates = inputs.recording, opened_rates(inputs)
    if recording is None:
        raise ValueError("these inputs hold no recording; ask why_no_counts before drawing")
    position = {name: row for row, name in enumerate(recording.trial_ids.astype(str))}
    ids = text_of(rates, "trial_id")
    wanted = ids if trials is None else ids[trials]
    start = first_bin(inputs, recording)
    rows = np.array([position[name] for name in wanted], dtype=np.int64)
    return values[rows, start : start + rates.sizes["time"]]


def counts(inputs: FigureInputs, trials: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Counts [B, T, N] at the trials of `rates.nc`; NaN where missing."""
    recording = inputs.recording
    if recording is None:
        raise ValueError("these inputs hold no recording; ask why_no_counts before drawing")
    return aligned(inputs, recording.counts, trials).astype(np.float64)


def rates_of(
    inputs: FigureInputs, trials: NDArray[np.int64], name: str = "rates"
) -> NDArray[np.float64]:
    """One variable of `rates.nc` [B, ...] at these trials, in float64."""
    values = opened_rates(inputs)[name].isel(trial=trials).values
    return np.asarray(values, dtype=np.float64)


def text_of(rates: xr.Dataset, name: str) -> NDArray[np.str_]:
    """A variable of ids or labels as text, for files give text back as objects or as bytes."""
    values = rates[name].values
    if values.dtype.kind in "OS":
        plain = [item.decode() if isinstance(item, bytes) else str(item) for item in values]
        return np.array(plain, dtype=np.str_)
    return np.asarray(values.astype(np.str_))


def trial_sets(inputs: FigureInputs) -> NDArray[np.str_]:
    """The set of each trial of `rates.nc`; "new" where the file does not say."""
    rates = opened_rates(inputs)
    if "trial_set" not in rates.variables:
        return np.full(rates.sizes["trial"], "new")
    return text_of(rates, "trial_set")


def trials_in_use(inputs: FigureInputs) -> NDArray[np.int64]:
    """Positions of the trials that are not `unused`."""
    return np.flatnonzero(trial_sets(inputs) != "unused")


def reported_set(inputs: FigureInputs) -> str:
    """The set that figures show: the first that has trials of test, valid, new, train."""
    present = set(trial_sets(inputs))
    return next((name for name in ("test", "valid", "new", "train") if name in present), "unused")


def condition_labels(inputs: FigureInputs) -> NDArray[np.str_] | None:
    """The condition of each trial of `rates.nc` as text, from there or from the recording."""
    rates, recording = opened_rates(inputs), inputs.recording
    if "condition" in rates.variables:
        return text_of(rates, "condition")
    if recording is None or recording.condition is None:
        return None
    by_id = dict(zip(recording.trial_ids.astype(str), recording.condition.astype(str), strict=True))
    ids = text_of(rates, "trial_id")
    return np.array([by_id[name] for name in ids]) if set(ids) <= set(by_id) else None


def condition_names(labels: NDArray[np.str_]) -> list[str]:
    """The different labels, numbers in them in their own order: 2 comes before 10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]

    return sorted({str(name) for name in labels}, key=key)


def is_encoded(inputs: FigureInputs) -> NDArray[np.bool_]:
    """Which units the encoder saw [N]."""
    rates = opened_rates(inputs)
    if "is_encoded" not in rates.variables:
        return np.ones(rates.sizes["unit"], dtype=np.bool_)
    return np.asarray(rates["is_encoded"].values, dtype=np.bool_)


def is_encoded_bin(inputs: FigureInputs) -> NDArray[np.bool_]:
    """Which bins the encoder saw [T]."""
    rates = opened_rates(inputs)
    if "is_encoded_bin" not in rates.variables:
        return np.ones(rates.sizes["time"], dtype=np.bool_)
    return np.asarray(rates["is_encoded_bin"].values, dtype=np.bool_)


def bin_width_s(inputs: FigureInputs) -> float:
    """Bin width in s, from the attribute, the recording or the time axis."""
    rates = opened_rates(inputs)
    if "bin_width_s" in rates.attrs:
        return float(rates.attrs["bin_width_s"])
    if inputs.recording is not None:
        return inputs.recording.bin_width_s
    time_s = rates["time"].values
    return float(time_s[1] - time_s[0]) if len(time_s) > 1 else 1.0


def rate_units(inputs: FigureInputs) -> NDArray[np.str_]:
    """The unit of measure of each unit's rates as the file states it; spikes/s where not, [N]."""
    rates = opened_rates(inputs)
    if "rate_unit" in rates.variables:
        return text_of(rates, "rate_unit")
    return np.full(rates.sizes["unit"], str(rates["rates"].attrs.get("units", "spikes/s")))


def rate_unit(inputs: FigureInputs, units: NDArray[np.int64] | None = None) -> str:
    """In words, of these units (None: all)."""
    found = rate_units(inputs)
    return " or ".join(dict.fromkeys((found if units is None else found[units]).tolist()))


def is_spiking(inputs: FigureInputs) -> NDArray[np.bool_]:
    """Which units count spikes, [N]; the others are signals of another kind."""
    return np.asarray(rate_units(inputs) == "spikes/s", dtype=np.bool_)


def families(inputs: FigureInputs) -> NDArray[np.str_]:
    """The observation family of each unit, or what its rates are measured in, [N]."""
    rates = opened_rates(inputs)
    has_names = "observation" in rates.variables
    return text_of(rates, "observation") if has_names else rate_units(inputs)


def like_units(inputs: FigureInputs) -> NDArray[np.int64]:
    """Units that share one scale: those that count spikes, or all where none does."""
    spiking = is_spiking(inputs)
    return np.flatnonzero(spiking if spiking.any() else ~spiking)


def per_reported(inputs: FigureInputs) -> NDArray[np.float64]:
    """What counts per bin of each unit are divided by to be as rates are reported, [N]."""
    return np.where(is_spiking(inputs), bin_width_s(inputs), 1.0)
