"""The order of the axes of counts in a file: said by the user, by names of dimensions, or as ours.

netCDF files (xarray) name the dimensions of every array, so nobody need say what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from lfads_torch.data.formats.stored import StoredArray, StoredArrays
from lfads_torch.errors import FormatError

__all__ = ["axis_called", "in_our_order", "require_clear_axes", "session_in_our_order"]

AXES = ("trial", "bin", "unit")
CALLED = {
    "trial": ("trial", "trials"),
    "bin": ("bin", "bins", "time", "times", "time_bin", "time_bins"),
    "unit": ("unit", "units", "neuron", "neurons", "channel", "channels", "cell", "cells"),
}


def axis_called(name: object) -> str | None:
    """Which of trial, bin and unit a dimension of this name is; None of other names."""
    word = str(name).lower()
    return next((axis for axis, names in CALLED.items() if word in names), None)


def in_our_order(stored: StoredArrays, axes: str | None) -> StoredArrays:
    """Counts and what has their axes as [trial, bin, ...].

    `axes`, such as "unit,bin,trial", is the order of three axes in the file. It holds for all
    arrays with three axes (of behaviour the dimension stands in the unit's place), and for those of
    trials and bins alone. Without it the dimensions of netCDF files say the same of each array.
    """
    if axes is None:
        return _replaced(stored, _order_by_names)
    order = _said_order(stored.path, axes, AXES)
    is_bin_first = order[1] < order[0]
    n_trials_and_bins = {
        (array.shape[order[0]], array.shape[order[1]])
        for array in stored.arrays.values()
        if array.kind == "number" and len(array.shape) == 3
    }

    def order_of(array: StoredArray) -> tuple[int, ...] | None:
        if len(array.shape) == 3:
            return order
        flipped = len(array.shape) == 2 and array.shape[::-1] in n_trials_and_bins
        return (1, 0) if flipped and is_bin_first else None

    return _replaced(stored, order_of)


def session_in_our_order(stored: StoredArrays, counts: str, axes: str | None) -> StoredArrays:
    """Counts of a whole session as [bin, unit], and signals with as many samples likewise."""
    array = stored.arrays[counts]
    order = _order_of_session(array) if axes is None else _said_order(stored.path, axes, AXES[1:])
    if order == (0, 1):
        return stored
    n_bins = array.shape[1]

    def order_of(other: StoredArray) -> tuple[int, ...] | None:
        n_rows, n_columns = other.shape if len(other.shape) == 2 else (n_bins, 0)
        return order if other is array or (n_columns == n_bins != n_rows) else None

    return _replaced(stored, order_of)


def _said_order(path: Path, axes: str, needed: tuple[str, ...]) -> tuple[int, ...]:
    """Where each needed axis lies in the file."""
    words = [word.strip() for word in axes.split(",")]
    said = [axis_called(word) for word in words]
    if sorted(map(str, said)) != sorted(needed):
        raise FormatError(
            f"{path}: --axes (axes of ReadOptions in Python) is {axes!r}; needed is the order of "
            f"the axes in the file, each once: {', '.join(needed)}, such as "
            f"--axes {','.join(reversed(needed))}."
        )
    return tuple(said.index(axis) for axis in needed)


def _order_by_names(array: StoredArray) -> tuple[int, ...] | None:
    """The order that takes trial and bin to the front; None where the names do not say it."""
    said = [axis_called(name) for name in array.dimensions]
    if len(said) not in (2, 3) or len({*said}) < len(said) or "trial" not in said:
        return None
    if len(said) == 2:
        return (1, 0) if said == ["bin", "trial"] else None
    if "bin" not in said:
        return None
    first = [said.index("trial"), said.index("bin")]
    return (*first, *({0, 1, 2} - {*first}))


def require_clear_axes(path: Path, array: StoredArray) -> None:
    """Refuse counts whose dimensions are named in another order than ours without naming bins."""
    said = [axis_called(name) for name in array.dimensions]
    if len(said) != 3 or "trial" not in said or "bin" in said or len({*said}) < 3:
        return
    if said[0] == "trial" and said[1] != "unit":
        return
    raise FormatError(
        f"{path}: array {array.name!r} has the dimensions {', '.join(array.dimensions)}, so its "
        "axes are not trial, bin, unit in this order, and which are the bins is not clear. Say the "
        "order in the file, such as --axes unit,bin,trial (axes of ReadOptions in Python), or call "
        "the dimensions trial, time and unit."
    )


def _order_of_session(array: StoredArray) -> tuple[int, ...]:
    said = [axis_called(name) for name in array.dimensions]
    return (1, 0) if said in (["unit", "bin"], ["unit", None], [None, "bin"]) else (0, 1)


def _replaced(
    stored: StoredArrays, order_of: Callable[[StoredArray], tuple[int, ...] | None]
) -> StoredArrays:
    arrays = {
        name: array if (order := _order(array, order_of)) is None else _transposed(array, order)
        for name, array in stored.arrays.items()
    }
    return replace(stored, arrays=arrays)


def _order(
    array: StoredArray, order_of: Callable[[StoredArray], tuple[int, ...] | None]
) -> tuple[int, ...] | None:
    order = order_of(array) if array.kind == "number" else None
    return None if order is None or list(order) == sorted(order) else order


def _transposed(array: StoredArray, order: tuple[int, ...]) -> StoredArray:
    return replace(
        array,
        shape=tuple(array.shape[axis] for axis in order),
        dimensions=tuple(array.dimensions[axis] for axis in order) if array.dimensions else (),
        load=lambda: np.transpose(np.asarray(array.load()), order),
    )
