"""Reader of the HDF5 layout that the earlier lfads-torch takes.

Per set (train, valid, test): SET_encod_data [B, E, Nenc], SET_recon_data [B, L, N] whose first E
bins and Nenc units are what is encoded, SET_ext_input [B, E or L, X], SET_truth with one
conversion_factor for all, SET_inds. There, truth / conversion_factor is the true rate in spikes
per bin; here true rates are in spikes/s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.base import Reader, ReadOptions, agreed_bin_width, naming
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.content import file_kind
from lfads_torch.data.formats.hdf5_arrays import open_hdf5
from lfads_torch.data.formats.lfads_torch_by_trial import (
    StoredSets,
    counts_in_file,
    encoded_in_file,
    reason_by_trial,
    truth_in_file,
)
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.recording import TEST, TRAIN, VALID, Recording, Split
from lfads_torch.errors import DataError, FormatError

__all__ = ["LfadsTorchLayout"]

SETS = (TRAIN, VALID, TEST)
VALUES_AT_ONCE = 2**22
KNOWN_PARTS = ("encod_data", "recon_data", "ext_input", "truth", "inds")


class LfadsTorchLayout(Reader):
    """Trials in the order train, valid, test, with the split that the file makes.

    Units and bins of recon_data beyond those of encod_data are held-out units and forward bins;
    where a set has no recon_data they are NaN. SET_inds become the trial ids when all sets have
    them and no id comes twice. Everything else is carried along in `extra` under its own name.
    """

    name = "lfads_torch"
    reads_by_trial = True

    def recognises(self, path: Path) -> bool:
        if file_kind(path) != "hdf5":
            return False
        with open_hdf5(path) as file:
            return any(f"{name}_encod_data" in file for name in SETS)

    def read(self, path: Path, options: ReadOptions) -> Recording:
        with open_stored(path) as stored, naming(path):
            return _recording(stored, options)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Trials of each set that is there, and what is encoded of how much."""

    n_trials: dict[str, int]
    n_encoded_bins: int
    n_encoded_units: int
    n_bins: int
    n_units: int


def _recording(stored: StoredArrays, options: ReadOptions) -> Recording:
    sizes = _sizes(stored)
    _need_no_counts_name(stored, options)
    bin_width_s = agreed_bin_width(stored.path, _bin_width_in(stored), options.bin_width_s)
    trial_ids, why_ids = _trial_ids(stored, sizes, options.trial_ids)
    is_encoded = np.arange(sizes.n_units) < sizes.n_encoded_units
    layout = StoredSets(
        stored=stored,
        options=options,
        n_trials=sizes.n_trials,
        n_bins=sizes.n_bins,
        n_units=sizes.n_units,
    )
    reason = reason_by_trial(layout)
    condition = options.condition or ("condition" if _in_all(stored, sizes, "condition") else None)
    return Recording(
        counts=_counts(stored, sizes) if reason is None else _checked_counts(layout, reason),
        bin_width_s=bin_width_s,
        trial_ids=trial_ids,
        unit_ids=_unit_ids(stored, sizes, options.unit_ids),
        start_s=options.start_s or 0.0,
        session=options.session or stored.path.stem,
        condition=None if condition is None else _labels(stored, sizes, condition, "condition"),
        external_inputs=_external_inputs(stored, sizes, options.external_inputs),
        behaviour={name: _joined(stored, sizes, name, "behaviour") for name in options.behaviour},
        true_rates=_true_rates(layout, bin_width_s, reason),
        split=Split(
            trial_set=np.repeat(list(sizes.n_trials), list(sizes.n_trials.values())),
            is_encoded=is_encoded,
            n_encoded_bins=sizes.n_encoded_bins,
            provenance={"method": "given by the file", "source": stored.path.name},
        ),
        extra=_extra(stored, {*options.behaviour, *([condition] if condition else [])}),
        provenance={
            "source": stored.path.name, "reader": LfadsTorchLayout.name, "trial_ids": why_ids,
        },
    )  # fmt: skip


def _sizes(stored: StoredArrays) -> _Sizes:
    encoded = {name: _shape(stored, f"{name}_encod_data") for name in SETS}
    present = {name: shape for name, shape in encoded.items() if shape is not None}
    for name in (TRAIN, VALID):
        if name not in present or _shape(stored, f"{name}_recon_data") is None:
            raise FormatError(
                f"{stored.path}: the layout of lfads-torch needs train_encod_data, "
                "train_recon_data, valid_encod_data and valid_recon_data. "
                f"Found: {stored.listing()}."
            )
    recon = {name: _shape(stored, f"{name}_recon_data") for name in present}
    whole = {name: shape for name, shape in recon.items() if shape is not None}
    for what, shapes in (("encod_data", present), ("recon_data", whole)):
        if len({shape[1:] for shape in shapes.values()}) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DataError(
                f"{what} differ in bins or units between sets: {found}. All sets need the same."
            )
    for name, shape in whole.items():
        seen = present[name]
        if shape[0] != seen[0] or shape[1] < seen[1] or shape[2] < seen[2]:
            raise DataError(
                f"{name}_recon_data has shape {shape}, {name}_encod_data {seen}; the same trials, "
                "and at least as many bins and units are needed."
            )
    _, n_encoded_bins, n_encoded_units = present[TRAIN]
    _, n_bins, n_units = whole[TRAIN]
    return _Sizes(
        n_trials={name: shape[0] for name, shape in present.items()},
        n_encoded_bins=n_encoded_bins,
        n_encoded_units=n_encoded_units,
        n_bins=n_bins,
        n_units=n_units,
    )


def _shape(stored: StoredArrays, name: str) -> tuple[int, ...] | None:
    if name not in stored.arrays:
        return None
    shape = stored.arrays[name].shape
    if len(shape) != 3:
        raise DataError(f"{name} has shape {shape}; three axes are needed: trial, bin, unit.")
    return shape


def _counts(stored: StoredArrays, sizes: _Sizes) -> NDArray[Any]:
    parts = []
    for name in sizes.n_trials:
        seen = stored.numbers(f"{name}_encod_data", "encoded counts")
        if f"{name}_recon_data" in stored.arrays:
            part = stored.numbers(f"{name}_recon_data", "reconstructed counts")
            _need_same(name, seen, part[:, : seen.shape[1], : seen.shape[2]])
        elif (sizes.n_encoded_bins, sizes.n_encoded_units) == (sizes.n_bins, sizes.n_units):
            part = seen
        else:
            part = np.full((seen.shape[0], sizes.n_bins, sizes.n_units), np.nan, dtype=np.float32)
            part[:, : seen.shape[1], : seen.shape[2]] = seen
        parts.append(part)
    return np.concatenate(parts)


def _need_same(name: str, seen: NDArray[Any], target: NDArray[Any], *, first: int = 0) -> None:
    """The encoder sees the beginning of what is reconstructed; other targets are no recording."""
    differs = ~((seen == target) | (np.isnan(seen) & np.isnan(target)))
    if differs.any():
        trial, position, unit = np.argwhere(differs)[0].tolist()
        raise DataError(
            f"{name}_encod_data and the beginning of {name}_recon_data differ in "
            f"{int(differs.sum())} entries, the first at trial {first + trial}, bin {position}, "
            f"unit {unit}. Here the encoded counts are part of the reconstructed ones; store the "
            "same values in both."
        )


def _checked_counts(layout: StoredSets, reason: str) -> NDArray[Any]:
    """As `_counts`, of counts that stay in the file."""
    stored = layout.stored
    for name in layout.n_trials:
        if f"{name}_recon_data" not in stored.arrays:
            continue
        part = replace(layout, n_trials={name: layout.n_trials[name]})
        seen, target = encoded_in_file(layout, name, reason), counts_in_file(part, reason)
        size = max(1, VALUES_AT_ONCE // max(layout.n_bins * layout.n_units, 1))
        for start in range(0, len(seen), size):
            rows = slice(start, start + size)
            own = np.asarray(seen[rows])
            of_target = np.asarray(target[rows])[:, : own.shape[1], : own.shape[2]]
            _need_same(name, own, of_target, first=start)
    return counts_in_file(layout, reason)


def _true_rates(layout: StoredSets, bin_width_s: float, reason: str | None) -> NDArray[Any] | None:
    """truth / conversion_factor / bin width, spikes/s; NaN where set, bin or unit has no truth."""
    stored, names = layout.stored, [f"{name}_truth" for name in layout.n_trials]
    if not any(name in stored.arrays for name in names):
        return None
    factor = stored.scalar("conversion_factor")
    if factor is None or not np.isfinite(factor) or factor == 0:
        raise FormatError(
            f"{stored.path}: the file has a truth, but conversion_factor is {factor}; truth "
            "divided by it must give spikes per bin. Store it as a dataset of one number (1 if "
            "truth is per bin)."
        )
    parts = []
    for name, n_trials in zip(names, layout.n_trials.values(), strict=True):
        whole = (n_trials, layout.n_bins, layout.n_units)
        shape = stored.arrays[name].shape if name in stored.arrays else whole
        fits = len(shape) == 3 and shape[0] == n_trials
        if not (fits and shape[1] <= whole[1] and shape[2] <= whole[2]):
            raise DataError(
                f"{name} has shape {shape}; at most {whole}, that of recon_data, is needed."
            )
        if reason is not None:
            continue
        part = np.full(whole, np.nan)
        if name in stored.arrays:
            truth = stored.numbers(name, "true rates")
            part[:, : truth.shape[1], : truth.shape[2]] = truth / factor / bin_width_s
        parts.append(part)
    if reason is not None:
        return truth_in_file(layout, (factor, bin_width_s), reason)
    return np.concatenate(parts)


def _external_inputs(
    stored: StoredArrays, sizes: _Sizes, named: str | None
) -> NDArray[np.float32] | None:
    """[B, L, X]; inputs given for the encoded bins only are 0 in forward bins, as there."""
    key = named or "ext_input"
    if named is None and not any(f"{name}_{key}" in stored.arrays for name in sizes.n_trials):
        return None
    joined = _joined(stored, sizes, key, "external inputs").astype(np.float32)
    n_missing = sizes.n_bins - joined.shape[1] if joined.ndim == 3 else 0
    if n_missing > 0 and joined.shape[1] == sizes.n_encoded_bins:
        joined = np.pad(joined, ((0, 0), (0, n_missing), (0, 0)))
    return joined


def _trial_ids(stored: StoredArrays, sizes: _Sizes, named: str | None) -> tuple[NDArray[Any], str]:
    if named is not None:
        return _labels(stored, sizes, named, "trial_ids"), f"from {named}"
    if _in_all(stored, sizes, "inds"):
        ids = _labels(stored, sizes, "inds", "trial_ids")
        if len(ids) == sum(sizes.n_trials.values()) and len(np.unique(ids)) == len(ids):
            return ids, "from inds"
    return np.arange(sum(sizes.n_trials.values())), "numbered in the order train, valid, test"


def _unit_ids(stored: StoredArrays, sizes: _Sizes, named: str | None) -> NDArray[Any]:
    if named is None:
        return np.arange(sizes.n_units)
    return stored.labels(named, "unit_ids")


def _in_all(stored: StoredArrays, sizes: _Sizes, key: str) -> bool:
    return all(f"{name}_{key}" in stored.arrays for name in sizes.n_trials)


def _labels(stored: StoredArrays, sizes: _Sizes, key: str, what: str) -> NDArray[Any]:
    return np.concatenate([stored.labels(f"{name}_{key}", what) for name in sizes.n_trials])


def _joined(stored: StoredArrays, sizes: _Sizes, key: str, what: str) -> NDArray[Any]:
    parts = [stored.numbers(f"{name}_{key}", what) for name in sizes.n_trials]
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(f"{n} {p.shape}" for n, p in zip(sizes.n_trials, parts, strict=True))
        raise DataError(f"the sets of {key} differ in shape: {shapes}. All sets need the same.")
    return np.concatenate(parts)


def _extra(stored: StoredArrays, used: set[str]) -> dict[str, NDArray[Any]]:
    taken = {f"{name}_{part}" for name in SETS for part in (*KNOWN_PARTS[:4], *used)}
    return {
        name: np.asarray(array.load())
        for name, array in stored.arrays.items()
        if name not in taken and array.kind != "unreadable"
    }


def _bin_width_in(stored: StoredArrays) -> float | None:
    seconds = stored.scalar("bin_width_s")
    if seconds is not None:
        return seconds
    for name in ("bin_width_ms", "bin_size_ms"):
        milliseconds = stored.scalar(name)
        if milliseconds is not None:
            return milliseconds / 1000
    return None


def _need_no_counts_name(stored: StoredArrays, options: ReadOptions) -> None:
    if options.counts is not None:
        raise FormatError(
            f"{stored.path}: the file has the layout of lfads-torch, whose counts are encod_data "
            f"and recon_data; leave out --counts {options.counts} (counts in Python)."
        )
