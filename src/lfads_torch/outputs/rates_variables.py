"""The variables of a rates file: names, dimensions, units and comments, as CF has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import OutputError

if TYPE_CHECKING:
    import h5netcdf

    from lfads_torch.outputs.rates_header import RatesHeader

__all__ = [
    "Signal",
    "attribute",
    "chunk_shape",
    "coordinates",
    "declare_labels",
    "describe",
    "signals",
]

# HDF5 keeps 1 MiB of chunks per variable; a chunk below that is compressed once, not per write.
CHUNK_BYTES = 2**18

SPREAD_COMMENT = (
    "Spread over posterior samples at the beta in use (attributes beta_initial_condition and "
    "beta_inputs). Neither a confidence interval nor trial-to-trial variability."
)
MEMBER_COMMENT = (
    "Standard deviation over the models of the ensemble (attribute ensemble_members) of their "
    "posterior means. Says where models disagree, models of one line less than independent ones; "
    "no confidence interval."
)
OF_BEST_COMMENT = " Of the best member alone (attribute member), while rates are the ensemble's."
INPUT_COMMENT = (
    "What the generator could not predict; no proof of an anatomical input. Unless the model is "
    "causal (attribute causal), the controller sees later bins, so it may lead its event; sign, "
    "rotation and scale are arbitrary."
)


@dataclass(frozen=True)
class Signal:
    """A variable with a trial axis, as it is declared in the file."""

    dimensions: tuple[str, ...]
    long_name: str
    units: str = "1"
    comment: str = ""


def signals(header: RatesHeader) -> dict[str, Signal]:
    """Every signal that the header announces, by name, in the order of the file."""
    unit, trial_time = header.rates_units, ("trial", "time")
    initial = ("trial", "initial_condition_dimension")
    signals = {
        "rates": Signal(
            (*trial_time, "unit"),
            "mean of the observation model per second",
            unit,
            "Averaged over models (attribute ensemble_members)."
            if header.has_rate_member_std
            else "",
        )
    }
    if header.has_rate_posterior_std:
        signals["rate_posterior_std"] = Signal(
            (*trial_time, "unit"), "standard deviation of the rates over posterior samples", unit,
            SPREAD_COMMENT + (OF_BEST_COMMENT if header.has_rate_member_std else ""),
        )  # fmt: skip
    if header.has_rate_member_std:
        signals["rate_member_std"] = Signal(
            (*trial_time, "unit"), "standard deviation of the rates over models", unit,
            MEMBER_COMMENT,
        )  # fmt: skip
    signals["factors"] = Signal((*trial_time, "factor"), "factors")
    if header.n_inferred_inputs:
        words = (
            {"mean": "mean", "std": "standard deviation"}
            if header.has_latent_std
            else {"mean": "mean"}
        )
        for moment, word in words.items():
            signals[f"inferred_input_{moment}"] = Signal(
                (*trial_time, "inferred_input"),
                f"posterior {word} of the inferred input, averaged over samples",
                comment=INPUT_COMMENT,
            )
    signals["initial_condition_mean"] = Signal(initial, "posterior mean of the initial condition")
    if header.has_latent_std:
        signals["initial_condition_std"] = Signal(
            initial, "posterior standard deviation of the initial condition"
        )
    signals["generator_initial_state"] = Signal(
        ("trial", "generator_unit"), "first state of the generator"
    )
    if header.has_generator_states:
        signals["generator_states"] = Signal((*trial_time, "generator_unit"), "generator states")
    return signals


def declare_labels(file: h5netcdf.File, header: RatesHeader) -> None:
    """The variables that name trials, bins and units."""
    labels: list[tuple[str, NDArray[Any], Signal]] = [
        ("trial_id", header.trial_ids, Signal(("trial",), "id of the trial", "")),
        ("unit_id", header.unit_ids, Signal(("unit",), "id of the unit", "")),
        ("trial_set", header.trial_set, Signal(("trial",), "set of the trial", "", (
            "train, valid, test, unused, or new: a recording that the run has not seen"))),
        ("is_encoded", header.is_encoded, Signal(
            ("unit",), "1: seen by the encoder, 0: held out and only predicted")),
        ("is_encoded_bin", header.is_encoded_bin, Signal(
            ("time",), "1: seen by the encoder, 0: forward bin, only predicted")),
        ("time", header.time_s, Signal(
            ("time",), "centre of the bin relative to the alignment event", "s")),
    ]  # fmt: skip
    if header.condition is not None:
        labels.append(("condition", header.condition, Signal(("trial",), "kind of the trial", "")))
    beyond = "Beyond them every signal is NaN."
    if header.n_trial_bins is not None:
        own = Signal(("trial",), "bins of the trial", comment=beyond)
        labels.append(("n_trial_bins", header.n_trial_bins, own))
    if header.session_bin is not None:
        begins = Signal(("trial",), "bin of the continuous session at which the first bin lies")
        labels.append(("session_bin", header.session_bin, begins))
    if header.observation is not None:
        labels += [
            ("observation", header.observation, Signal(("unit",), "observation family", "")),
            ("rate_unit", np.asarray(header.rate_unit), Signal(
                ("unit",), "unit of measure of the unit's rates", "")),
        ]  # fmt: skip
    for name, values, signal in labels:
        dtype, plain_values = _storable(name, values)
        variable = file.create_variable(name, signal.dimensions, dtype, data=plain_values)
        describe(variable, signal)


def describe(variable: h5netcdf.Variable, signal: Signal) -> None:
    """Give the variable its name in words, units and comment."""
    variable.attrs["long_name"] = signal.long_name
    if signal.units:
        variable.attrs["units"] = signal.units
    if signal.comment:
        variable.attrs["comment"] = signal.comment


def coordinates(signal: Signal, header: RatesHeader) -> str:
    """CF's list of the labels that belong to a variable; xarray makes them coordinates."""
    labels = {"trial": ["trial_id", "trial_set"], "unit": ["unit_id", "is_encoded"]}
    labels["time"] = ["is_encoded_bin"]
    if header.observation is not None:
        labels["unit"] += ["observation", "rate_unit"]
    for name in ("condition", "n_trial_bins", "session_bin"):
        if getattr(header, name) is not None:
            labels["trial"].append(name)
    return " ".join(name for dimension in signal.dimensions for name in labels.get(dimension, []))


def _storable(name: str, values: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """HDF5 type (a dtype) and values of labels: whole numbers, floating numbers or UTF-8 text."""
    import h5py

    values = np.asarray(values)
    if values.dtype.kind == "b":
        return np.int8, values.astype(np.int8)
    if values.dtype.kind in "iu":
        return np.int64, values.astype(np.int64)
    if values.dtype.kind == "f":
        return np.float64, values.astype(np.float64)
    if values.dtype.kind in "SOUT":
        text = [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]
        return h5py.string_dtype(), np.array(text, dtype=object)
    raise OutputError(f"{name} has values of type {values.dtype}; integers or text are needed.")


def attribute(
    value: str | float | int | list[float] | list[int],
) -> str | np.int64 | np.float64 | NDArray[np.float64] | NDArray[np.int64]:
    """Value of a file's attribute as HDF5 takes it."""
    if isinstance(value, (str, np.str_)):
        return str(value)
    if isinstance(value, list):
        if all(isinstance(each, int) for each in value):
            return np.asarray(value, dtype=np.int64)
        return np.asarray(value, dtype=np.float64)
    return np.int64(value) if isinstance(value, (int, np.integer)) else np.float64(value)


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole trials, as many as fit in a chunk; of a trial that is larger, a stretch of its bins."""
    bytes_per_trial = 4 * int(np.prod(shape[1:]))
    if bytes_per_trial <= CHUNK_BYTES or len(shape) < 3:
        return (min(shape[0], max(1, CHUNK_BYTES // bytes_per_trial)), *shape[1:])
    bytes_per_bin = 4 * shape[2]
    return (1, min(shape[1], max(1, CHUNK_BYTES // bytes_per_bin)), shape[2])
