"""`rates.nc`: rates and everything inferred with them, trial by trial, in netCDF4.

Axes: `B` trial, `T` generated bin, `N` unit, `F` factor, `U` inferred input, `Z` initial condition,
`H` generator unit. The file opens in xarray, in h5py and in MATLAB (`ncread`); docs/formats.md
fixes its schema.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import atomic_path
from lfads_torch.errors import FormatError, OutputError
from lfads_torch.outputs.file_kind import found_kind, hdf5_attributes
from lfads_torch.outputs.guarded_file import GuardedFile

if TYPE_CHECKING:
    import h5netcdf
    import xarray

__all__ = ["FORMAT", "FORMAT_VERSION", "RatesChunk", "RatesHeader", "RatesWriter", "open_rates"]

FORMAT = "lfads-torch rates"
FORMAT_VERSION = 1

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


@dataclass(frozen=True, kw_only=True)
class RatesHeader:
    """Everything about a rates file that is known before the first trial is inferred.

    `attributes` are those of docs/formats.md (`bin_width_s`, `run`, `member`, ...): text or
    numbers; None leaves one out. Sizes of 0 leave their variables out.
    """

    trial_ids: NDArray[Any]  # [B], integers or text, the user's order
    unit_ids: NDArray[Any]  # [N], integers or text
    time_s: NDArray[np.float64]  # [T], centres of the bins relative to the alignment event
    trial_set: NDArray[Any]  # [B], train, valid, test, unused or new
    is_encoded: NDArray[np.bool_]  # [N]
    is_encoded_bin: NDArray[np.bool_]  # [T]
    n_factors: int
    n_initial_condition: int
    n_generator_units: int
    n_inferred_inputs: int = 0  # 0: a model without controller
    condition: NDArray[Any] | None = None  # [B], integers or text
    n_trial_bins: NDArray[np.int64] | None = None  # [B], of the generated bins; None: all
    session_bin: NDArray[np.int64] | None = None  # [B], where in its session each chop begins
    has_rate_posterior_std: bool = True  # not with fewer than two posterior samples
    has_latent_std: bool = True  # not where the model is not variational
    has_rate_member_std: bool = False  # only of an ensemble
    has_generator_states: bool = False
    observation: NDArray[Any] | None = None  # [N], family of each unit; None: not said
    rate_unit: NDArray[Any] | str = "spikes/s"  # [N], of each unit, or of all
    attributes: Mapping[str, str | float | int | list[float] | list[int] | None] = field(
        default_factory=dict
    )

    @property
    def rates_units(self) -> str:
        """The unit of measure of the rates, in words where units differ in it."""
        found = list(dict.fromkeys(np.atleast_1d(self.rate_unit).tolist()))
        return found[0] if len(found) == 1 else f"{' or '.join(found)}, see rate_unit"

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each netCDF dimension in use."""
        sizes = {
            "trial": len(self.trial_ids),
            "time": len(self.time_s),
            "unit": len(self.unit_ids),
            "factor": self.n_factors,
            "inferred_input": self.n_inferred_inputs,
            "initial_condition_dimension": self.n_initial_condition,
            "generator_unit": self.n_generator_units,
        }
        return {name: size for name, size in sizes.items() if size}


@dataclass(frozen=True, kw_only=True)
class RatesChunk:
    """The results of consecutive trials; what the header leaves out is None."""

    rates: NDArray[np.floating[Any]]  # [B, T, N], spikes/s
    rate_posterior_std: NDArray[np.floating[Any]] | None = None  # [B, T, N], spikes/s
    rate_member_std: NDArray[np.floating[Any]] | None = None  # [B, T, N], spikes/s
    factors: NDArray[np.floating[Any]]  # [B, T, F]
    inferred_input_mean: NDArray[np.floating[Any]] | None = None  # [B, T, U]
    inferred_input_std: NDArray[np.floating[Any]] | None = None  # [B, T, U]
    initial_condition_mean: NDArray[np.floating[Any]]  # [B, Z]
    generator_initial_state: NDArray[np.floating[Any]]  # [B, H]
    initial_condition_std: NDArray[np.floating[Any]] | None = None  # [B, Z]
    generator_states: NDArray[np.floating[Any]] | None = None  # [B, T, H]


@dataclass(frozen=True)
class Signal:
    """A variable with a trial axis, as it is declared in the file."""

    dimensions: tuple[str, ...]
    long_name: str
    units: str = "1"
    comment: str = ""


class RatesWriter:
    """Writes a rates file chunk by chunk of trials; use it as a context manager.

    The memory it takes does not grow with the number of trials. The file appears under its name
    when the block ends well and every trial was written; otherwise nothing is left, and an older
    file stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str], header: RatesHeader) -> None:
        _check_header(header)
        self._path = Path(path)
        self._header = header
        self._signals = _signals(header)
        self._is_written = np.zeros(len(header.trial_ids), dtype=np.bool_)
        self._stack = ExitStack()

    def __enter__(self) -> RatesWriter:
        import h5netcdf

        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self._path))
            self._disk = GuardedFile(part)
            stack.callback(self._disk.close)
            self._file = h5netcdf.File(self._disk, "w")
            stack.callback(self._file.close)
            self._declare(self._file)
            self._disk.raise_failure()
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def write(self, start_trial: int, chunk: RatesChunk) -> None:
        """Write the trials from position `start_trial` on, in the order of the header's ids."""
        stop = start_trial + len(chunk.rates)
        if start_trial < 0 or stop > len(self._is_written):
            raise ValueError(
                f"trials {start_trial} to {stop - 1} of a file with {len(self._is_written)} trials"
            )
        for name in (f.name for f in fields(chunk)):
            values = getattr(chunk, name)
            self._check_shape(name, values, n_trials=stop - start_trial)
            if values is not None:
                self._file.variables[name][start_trial:stop] = values.astype(np.float32, copy=False)
            self._disk.raise_failure()
        self._is_written[start_trial:stop] = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        missing = np.flatnonzero(~self._is_written)
        if len(missing):
            raise OutputError(
                f"{self._path}: {len(missing)} of {len(self._is_written)} trials were not given, "
                f"the first at position {missing[0]}. Write every trial before closing the file."
            )
        self._file.close()
        self._disk.raise_failure()

    def _declare(self, file: h5netcdf.File) -> None:
        header = self._header
        file.dimensions = header.sizes
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = np.int64(FORMAT_VERSION)
        for name, value in header.attributes.items():
            if value is not None:
                file.attrs[name] = _attribute(value)
        _declare_labels(file, header)
        for name, signal in self._signals.items():
            shape = tuple(header.sizes[dimension] for dimension in signal.dimensions)
            variable = file.create_variable(
                name, signal.dimensions, np.float32,
                chunks=_chunk_shape(shape), compression="gzip", compression_opts=1, shuffle=True,
            )  # fmt: skip
            _describe(variable, signal)
            variable.attrs["coordinates"] = _coordinates(signal, header)

    def _check_shape(self, name: str, values: NDArray[Any] | None, *, n_trials: int) -> None:
        signal = self._signals.get(name)
        if signal is None and values is not None:
            raise ValueError(f"{name} was given; the header leaves it out")
        if signal is not None and values is None:
            raise ValueError(f"{name} is missing; the header announces it")
        if signal is not None and values is not None:
            sizes = self._header.sizes
            shape = (n_trials, *(sizes[dimension] for dimension in signal.dimensions[1:]))
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}; {shape} is needed")


def open_rates(path: str | os.PathLike[str]) -> xarray.Dataset:
    """A rates file as an xarray.Dataset, read lazily; close it, or use it in a `with` statement.

    Ids, sets, conditions and masks are coordinates. Text is in arrays of `str`.
    """
    import xarray

    attributes = hdf5_attributes(Path(path))
    if attributes.get("format") != FORMAT:
        raise FormatError(
            f"{path}: {found_kind(Path(path))}; a rates file of lfads-torch is needed, as "
            "`lfads infer` writes it."
        )
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format_version is {version}; this lfads-torch reads {FORMAT_VERSION}. "
            "Update lfads-torch to read a newer file."
        )
    try:
        return xarray.open_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(
            f"{path}: cannot be read ({error}). The file is damaged: run `lfads infer` again."
        ) from error


def _signals(header: RatesHeader) -> dict[str, Signal]:
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


def _declare_labels(file: h5netcdf.File, header: RatesHeader) -> None:
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
        _describe(variable, signal)


def _describe(variable: h5netcdf.Variable, signal: Signal) -> None:
    variable.attrs["long_name"] = signal.long_name
    if signal.units:
        variable.attrs["units"] = signal.units
    if signal.comment:
        variable.attrs["comment"] = signal.comment


def _coordinates(signal: Signal, header: RatesHeader) -> str:
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


def _attribute(
    value: str | float | int | list[float] | list[int],
) -> str | np.int64 | np.float64 | NDArray[np.float64] | NDArray[np.int64]:
    if isinstance(value, (str, np.str_)):
        return str(value)
    if isinstance(value, list):
        if all(isinstance(each, int) for each in value):
            return np.asarray(value, dtype=np.int64)
        return np.asarray(value, dtype=np.float64)
    return np.int64(value) if isinstance(value, (int, np.integer)) else np.float64(value)


def _chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole trials, as many as fit in a chunk; of a trial that is larger, a stretch of its bins."""
    bytes_per_trial = 4 * int(np.prod(shape[1:]))
    if bytes_per_trial <= CHUNK_BYTES or len(shape) < 3:
        return (min(shape[0], max(1, CHUNK_BYTES // bytes_per_trial)), *shape[1:])
    bytes_per_bin = 4 * shape[2]
    return (1, min(shape[1], max(1, CHUNK_BYTES // bytes_per_bin)), shape[2])


def _check_header(header: RatesHeader) -> None:
    sizes = header.sizes
    for name in (
        "trial",
        "time",
        "unit",
        "factor",
        "initial_condition_dimension",
        "generator_unit",
    ):
        if name not in sizes:
            raise OutputError(f"a rates file needs at least one {name}; this one would have none.")
    lengths = {
        "trial_set": "trial",
        "condition": "trial",
        "n_trial_bins": "trial",
        "session_bin": "trial",
        "is_encoded": "unit",
        "is_encoded_bin": "time",
    }
    for name, dimension in lengths.items():
        values = getattr(header, name)
        if values is not None and len(values) != sizes[dimension]:
            raise ValueError(f"{name} has {len(values)} entries; {sizes[dimension]} are needed")
