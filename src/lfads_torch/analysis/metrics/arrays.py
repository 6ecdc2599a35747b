"""What every score asks of its arrays, and how it says so when they do not fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError

__all__ = ["Labels", "Numbers", "Truths", "as_three_axes", "need_finite", "need_shape"]

Numbers = NDArray[np.number]
Truths = NDArray[np.bool_]
Labels = NDArray[np.generic]


def as_three_axes(name: str, values: Numbers) -> NDArray[np.float64]:
    """The values in double precision, [trial, bin, unit or dimension]; no axis may be empty."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(
            f"{name} have shape {array.shape}; three axes, none of them empty, are needed: trial, "
            "bin, unit (or dimension). Give at least one trial, and keep an axis of length one."
        )
    return array


def need_shape(name: str, values: Numbers | Labels, shape: tuple[int | None, ...]) -> None:
    """Raise unless the shape fits; `None` stands for any length."""
    have = np.shape(values)
    fits = len(have) == len(shape) and all(
        want is None or length == want for length, want in zip(have, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise DataError(
            f"{name} have shape {have}; the arrays that they are scored with need ({wanted}). "
            "Take both from the same trials, bins and units."
        )


def need_finite(name: str, values: Numbers, where: Truths) -> None:
    """Raise if a value is not finite at an entry that is scored."""
    wrong = where & ~np.isfinite(values)
    if wrong.any():
        first = ", ".join(str(position) for position in np.argwhere(wrong)[0])
        raise DataError(
            f"{name} are not finite at {int(wrong.sum())} entries that are scored, the first at "
            f"[{first}]. Finite values are needed there; mark entries to be left out as NaN in the "
            "recorded data instead."
        )
