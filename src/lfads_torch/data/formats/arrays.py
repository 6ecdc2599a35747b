"""From arrays in memory to a recording: NumPy, torch, xarray, pandas, nested lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfads_torch.data.formats.axes import axis_called
from lfads_torch.data.padding import stack_trials
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError

__all__ = ["recording_from_arrays"]

AXES = ("trial", "bin", "unit")


def recording_from_arrays(
    counts: ArrayLike,
    *,
    bin_width_s: float,
    trial_ids: ArrayLike | None = None,
    unit_ids: ArrayLike | None = None,
    condition: ArrayLike | None = None,
    external_inputs: ArrayLike | None = None,
    trial_inputs: ArrayLike | None = None,
    behaviour: Mapping[str, ArrayLike] | None = None,
) -> Recording:
    """A recording of `counts` [trial, bin, unit]; NaN or a masked entry is missing.

    Anything that NumPy can make an array of will do, and a list of trials [bin, unit] of unequal
    length, which become one array with NaN beyond their ends (`Recording.n_trial_bins`). Of an
    xarray.DataArray whose dimensions are called trial, time (or bin) and unit (or neuron, channel)
    the order does not matter. Ids default to 0, 1, ...
    Further fields: `dataclasses.replace(recording, start_s=..., split=...)`.
    """
    counts, ends = _of_one_length(counts)
    values = _numbers(_in_order(counts), "counts")
    if values.ndim != 3:
        raise DataError(
            f"counts have shape {values.shape}; three axes are needed: trial, bin, unit. "
            "Cut a continuous recording into trials first (`lfads prepare`)."
        )
    n_trials, _, n_units = values.shape
    return Recording(
        counts=values,
        bin_width_s=_width(bin_width_s),
        trial_ids=np.arange(n_trials) if trial_ids is None else _labels(trial_ids, "trial_ids"),
        unit_ids=np.arange(n_units) if unit_ids is None else _labels(unit_ids, "unit_ids"),
        n_trial_bins=ends,
        condition=None if condition is None else _labels(condition, "condition"),
        external_inputs=(
            None
            if external_inputs is None
            else _numbers(external_inputs, "external_inputs").astype(np.float32)
        ),
        trial_inputs=(
            None
            if trial_inputs is None
            else _numbers(trial_inputs, "trial_inputs").astype(np.float32)
        ),
        behaviour={
            name: _numbers(signal, f"behaviour {name!r}")
            for name, signal in (behaviour or {}).items()
        },
        provenance={"source": "arrays in memory"},
    )


def _of_one_length(counts: Any) -> tuple[Any, NDArray[np.int64] | None]:  # see `_numbers`
    """A list of trials [bin, unit] of unequal length as one array, and their lengths."""
    if not isinstance(counts, list | tuple) or any(np.ndim(trial) != 2 for trial in counts):
        return counts, None
    shapes = {np.shape(trial) for trial in counts}
    if len(shapes) < 2 or len({shape[1] for shape in shapes}) > 1:
        return counts, None
    return stack_trials([_numbers(trial, "counts") for trial in counts])


def _in_order(counts: Any) -> Any:  # whatever the user has; only xarray's arrays have `dims`
    dims = getattr(counts, "dims", None)
    if not isinstance(dims, tuple) or len(dims) != 3:
        return counts
    said = [axis_called(dim) for dim in dims]
    if {*said} == {*AXES}:
        return counts.transpose(*(dims[said.index(axis)] for axis in AXES))
    if any(axis not in (None, ours) for axis, ours in zip(said, AXES, strict=True)):
        raise DataError(
            f"counts have the dimensions {', '.join(map(str, dims))}, so the axes are not trial, "
            "bin, unit in this order. Call the dimensions trial, time and unit (rename), or give "
            "counts.transpose(...) in this order."
        )
    return counts


def _numbers(values: Any, what: str) -> NDArray[Any]:  # anything that NumPy may understand
    if isinstance(values, np.ma.MaskedArray):  # NumPy would drop the mask without a word
        values = np.where(values.mask, np.nan, values.data) if values.mask.any() else values.data
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{what} can't be made one array: {_why(values, error)}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{what} have type {array.dtype}; real numbers are needed (integers, or floating "
            "numbers with NaN where missing)."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native if native.flags.writeable else native.copy()  # pandas and jax give read-only ones


def _why(values: Any, error: Exception) -> str:  # see `_numbers`
    shapes = sorted({np.shape(trial) for trial in values}) if isinstance(values, list) else []
    if len(shapes) > 1 and all(shapes):
        first, last = shapes[0], shapes[-1]
        return (
            f"the {len(values)} trials differ in shape, from {first} to {last}. Cut them to a "
            "common window, or pad the short ones with NaN (missing)."
        )
    return (
        f"{error}. Give an array [trial, bin, unit]; move a tensor to the CPU and detach it first."
    )


def _labels(values: ArrayLike, what: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat):
        array = array.astype(np.str_)
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == array.round()).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise DataError(f"{what} have type {array.dtype}; integers or text are needed.")
    return array


def _width(bin_width_s: float) -> float:
    try:
        return float(bin_width_s)
    except (TypeError, ValueError):
        raise DataError(
            f"bin_width_s is {bin_width_s!r}; a positive width in seconds is needed."
        ) from None
