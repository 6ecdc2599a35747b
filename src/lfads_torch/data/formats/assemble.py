"""From named arrays in a file to a recording: which array is what, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.axes import in_our_order, require_clear_axes
from lfads_torch.data.formats.base import ReadOptions, agreed_bin_width, naming
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, FormatError

__all__ = [
    "bin_width_in",
    "condition_in",
    "conditions_of_another_size",
    "conditions_where_given",
    "counts_in",
    "recording_from_stored",
]

COUNTS_NAMES = ("counts", "spikes", "spike_counts")
CONDITION_NAMES = ("condition", "conditions")
TRUE_NAMES = ("true_rates", "true_latents", "true_inputs")


def recording_from_stored(stored: StoredArrays, options: ReadOptions, reader: str) -> Recording:
    """The recording made of the arrays that the options name, or that can be nothing else.

    Without `options.counts` the array called counts, spikes or spike_counts is taken, or the only
    one with three axes and whole numbers of at least 0. Without `options.behaviour` every array of
    floating numbers [B, L, D] is behaviour. `provenance` says which array became what, and why.
    Axes stand in our order unless `options.axes` or names of dimensions say otherwise.
    """
    stored = in_our_order(stored, options.axes)
    name, reason = counts_in(stored, options)
    if options.axes is None:
        require_clear_axes(stored.path, stored.arrays[name])
    counts = _checked_counts(stored, name)
    n_trials, _, n_units = counts.shape
    fields = _fields(stored, options, counts.shape)
    behaviour = _behaviour(stored, options, counts.shape, {name, *fields.pop("used")})
    in_file = bin_width_in(stored, name)
    start_s = options.start_s if options.start_s is not None else stored.scalar("start_s")
    with naming(stored.path):
        return Recording(
            counts=counts,
            bin_width_s=agreed_bin_width(stored.path, in_file, options.bin_width_s),
            trial_ids=_ids(stored, options.trial_ids, "trial_ids", n_trials),
            unit_ids=_ids(stored, options.unit_ids, "unit_ids", n_units),
            start_s=start_s or 0.0,
            session=options.session or stored.word("session") or stored.path.stem,
            behaviour=behaviour,
            behaviour_units=_units_of(stored, behaviour),
            provenance={
                "source": stored.path.name,
                "reader": reader,
                "counts": name,
                "why_counts": reason,
                "behaviour": sorted(behaviour),
            },
            **fields,
        )


def condition_in(stored: StoredArrays, named: str | None, n_trials: int) -> NDArray[Any] | None:
    """The label of each trial: the named array, or the one called condition(s) if it fits."""
    name = named or _condition_name(stored, n_trials)
    if name is None:
        return None
    values = stored.labels(name, "condition")
    _need_one_per_trial(stored, name, len(values), n_trials)
    return values


def conditions_where_given(
    stored: StoredArrays, named: str | None, n_trials: int
) -> tuple[NDArray[Any] | None, NDArray[np.bool_]]:
    """The same of a session, some of whose trials may have no label, and which have one, [B]."""
    name = named or _condition_name(stored, n_trials)
    if name is None:
        return None, np.ones(n_trials, dtype=np.bool_)
    values, is_given = stored.labels_where_given(name, "condition")
    _need_one_per_trial(stored, name, len(values), n_trials)
    return values, is_given


def _need_one_per_trial(stored: StoredArrays, name: str, n_values: int, n_trials: int) -> None:
    if n_values != n_trials:
        raise DataError(
            f"{stored.path}: array {name!r} for the condition has {n_values} entries, but there "
            f"are {n_trials} trials; one label per trial is needed."
        )


def conditions_of_another_size(stored: StoredArrays, n_trials: int) -> dict[str, int]:
    """Arrays that are called conditions and are a list of other than `n_trials`: their lengths."""
    return {name: n for name, n in _condition_lists(stored).items() if n != n_trials}


def _condition_name(stored: StoredArrays, n_trials: int) -> str | None:
    fitting = (name for name, n in _condition_lists(stored).items() if n == n_trials)
    return next(fitting, None)


def _condition_lists(stored: StoredArrays) -> dict[str, int]:
    """Lengths of what is called conditions by its name and is a list."""
    found = {}
    for name in CONDITION_NAMES:
        if name in stored.arrays and stored.arrays[name].kind != "unreadable":
            shape = stored.arrays[name].shape
            if sum(n != 1 for n in shape) <= 1:
                found[name] = int(np.prod(shape))
    return found


def bin_width_in(stored: StoredArrays, counts: str) -> float | None:
    """The width in seconds that the array of counts or the file says."""
    unit = stored.arrays[counts].attributes.get("bin_width_s")
    return stored.scalar("bin_width_s") if unit is None else float(unit)


def counts_in(stored: StoredArrays, options: ReadOptions) -> tuple[str, str]:
    """Name of the array of counts, and why it is that one."""
    if options.counts is not None:
        stored.find(options.counts, "counts")
        return options.counts, "named by the user"
    known = [name for name in COUNTS_NAMES if name in stored.arrays]
    if len(known) == 1:
        return known[0], "by its name"
    plausible = known or [name for name in stored.arrays if _could_be_counts(stored, name)]
    if len(plausible) == 1:
        return plausible[0], "the only array with three axes and whole numbers of at least 0"
    if stored.without_spikes:
        raise FormatError(f"{stored.path}: {stored.without_spikes}")
    found = (
        f"{len(plausible)} arrays could be the counts"
        if plausible
        else "no array looks like counts"
    )
    if any(name.partition("/")[0] == "spike_times" for name in stored.arrays):
        raise FormatError(
            f"{stored.path}: the file holds spike times of a session, which are cut into trials of "
            "counts first: `lfads prepare FILE --out TRIALS.h5 --bin-width SECONDS --event NAME "
            "--window BEGIN END`, or with --chop SECONDS in place of the event. "
            f"Found: {stored.listing()}."
        )
    raise FormatError(
        f"{stored.path}: {found}. Name the array [trial, bin, unit] with --counts NAME (in Python "
        f"ReadOptions(counts=NAME)).{_other_layouts(stored) if not plausible else ''} "
        f"Found: {stored.listing()}."
    )


def _other_layouts(stored: StoredArrays) -> str:
    """What to do with lists of times and with cells, where nothing else is in the file."""
    arrays = stored.arrays.values()
    if any(array.kind == "cells" for array in arrays):
        return (
            " A cell array of trials becomes one array, shorter trials filled with NaN; cells of "
            "the spike times of each unit are called spike_times."
        )
    lists = [a for a in arrays if a.kind == "number" and sum(n != 1 for n in a.shape) == 1]
    if len(lists) < 2 or len(lists) < len(stored.arrays):
        return ""
    return (
        " Lists of spike times are called spike_times, one list with the unit of each in "
        "spike_units, or in HDF5 spike_times/UNIT; those of events event_times. `lfads prepare` "
        "then cuts trials."
    )


def _could_be_counts(stored: StoredArrays, name: str) -> bool:
    array = stored.arrays[name]
    if array.kind != "number" or len(array.shape) != 3 or 0 in array.shape:
        return False
    values = np.asarray(array.load())
    if values.dtype.kind not in "iuf":
        return False
    present = values[np.isfinite(values)]
    return bool(present.size) and bool((present >= 0).all() and (present == present.round()).all())


def _checked_counts(stored: StoredArrays, name: str) -> NDArray[Any]:
    counts = stored.numbers(name, "counts")
    if counts.ndim != 3:
        remedy = (
            "A continuous recording [bin, unit] is cut into trials first: `lfads prepare --chop "
            "SECONDS --overlap SECONDS`, or chop.length_s and chop.overlap_s in the settings of a "
            "fit."
            if counts.ndim == 2
            else "Name another array with --counts (counts of ReadOptions in Python)."
        )
        raise DataError(
            f"{stored.path}: array {name!r} has shape {counts.shape}; counts need three axes: "
            f"trial, bin, unit. {remedy} Found: {stored.listing()}."
        )
    return counts.astype(np.uint8) if counts.dtype == np.bool_ else counts


def _fields(
    stored: StoredArrays, options: ReadOptions, shape: tuple[int, ...]
) -> dict[str, Any]:  # arrays by field of Recording; "used": names that are no behaviour
    fields: dict[str, Any] = {"condition": condition_in(stored, options.condition, shape[0])}
    inputs = options.external_inputs or "external_inputs"
    if options.external_inputs is not None or inputs in stored.arrays:
        values = stored.numbers(inputs, "external inputs").astype(np.float32)
        fields["external_inputs"] = _with_dimension(values, shape)
    of_trial = options.trial_inputs or "trial_inputs"
    if options.trial_inputs is not None or of_trial in stored.arrays:
        values = stored.numbers(of_trial, "trial inputs").astype(np.float32)
        fields["trial_inputs"] = values[:, None] if values.shape == shape[:1] else values
    for name in TRUE_NAMES:
        if name in stored.arrays:
            fields[name] = _with_dimension(stored.numbers(name, name), shape)
    if "observation" in stored.arrays and stored.arrays["observation"].kind == "text":
        fields["observation"] = _families(stored, shape[2])
    if "n_trial_bins" in stored.arrays:
        fields["n_trial_bins"] = stored.labels("n_trial_bins", "bins of each trial")
    fields["used"] = {inputs, of_trial, *TRUE_NAMES}
    return fields


def _families(stored: StoredArrays, n_units: int) -> NDArray[np.str_]:
    """The observation family of each unit, text."""
    words = stored.labels("observation", "observation family of each unit")
    if len(words) != n_units or words.dtype.kind not in "UO":
        raise DataError(
            f"{stored.path}: array 'observation' has {len(words)} entries of type {words.dtype}, "
            f"but it names the observation family of each of {n_units} units; text such as "
            "'poisson' or 'gamma', one each, is needed."
        )
    return words.astype(np.str_)


def _behaviour(
    stored: StoredArrays, options: ReadOptions, shape: tuple[int, ...], used: set[str]
) -> dict[str, NDArray[Any]]:
    if options.behaviour:
        return {
            name: _with_dimension(stored.numbers(name, "behaviour"), shape)
            for name in options.behaviour
        }
    return {
        name: values
        for name, array in stored.arrays.items()
        if name not in used and array.kind == "number" and array.shape[:2] == tuple(shape[:2])
        if len(array.shape) == 3 and (values := np.asarray(array.load())).dtype.kind == "f"
    }


def _with_dimension(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """[B, L] as [B, L, 1]; MATLAB drops a last axis of length 1."""
    return values[:, :, None] if values.shape == tuple(shape[:2]) else values


def _units_of(stored: StoredArrays, behaviour: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    units = {name: stored.arrays[name].attributes.get("units") for name in behaviour}
    return {name: str(unit) for name, unit in units.items() if unit is not None}


def _ids(stored: StoredArrays, named: str | None, default: str, n: int) -> NDArray[Any]:
    name = named or default
    if named is None and default not in stored.arrays:
        return np.arange(n)
    ids = stored.labels(name, default)
    if len(ids) != n:
        raise DataError(
            f"{stored.path}: array {name!r} has {len(ids)} ids, but the counts have {n} "
            f"{'trials' if default == 'trial_ids' else 'units'}; one id each is needed."
        )
    return ids
