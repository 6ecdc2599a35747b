"""Our own recording file (HDF5): reader and writer. docs/formats.md fixes the layout."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import write_bytes
from lfads_torch.data.chopping import Chops
from lfads_torch.data.formats.base import Reader, ReadOptions, agreed_bin_width, naming
from lfads_torch.data.formats.by_trial import trials_in_file, why_by_trial
from lfads_torch.data.formats.content import file_kind
from lfads_torch.data.formats.hdf5_arrays import dataset_values, open_hdf5
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.trials_in_file import Piece
from lfads_torch.errors import DataError, FormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT", "FORMAT_VERSION", "OurFormat", "write_recording"]

FORMAT = "lfads-torch recording"
FORMAT_VERSION = 1
CHUNK_BYTES = 2**16
OF_UNITS = ("counts", "true_rates")  # the large ones, which can be read by trial
OPTIONAL = (
    "condition", "unit_groups", "observation", "external_inputs", "trial_inputs", "true_rates",
    "true_latents", "true_inputs", "n_trial_bins",
)  # fmt: skip


def write_recording(recording: Recording, path: Path | str) -> None:
    """Write the recording whole or not at all: OutputError leaves no file, or the earlier one.

    Reading it back gives the same values, types, ids, split and provenance.
    """
    import h5py

    # HDF5 ends the process when the disk fills up while it writes, so it writes to memory.
    image = io.BytesIO()
    # "v108" lets attributes exceed 64 KiB (provenance) and is read by every HDF5 since 2008.
    with h5py.File(image, "w", libver=("v108", "v108")) as file:
        _write_contents(file, recording)
    write_bytes(path, image.getbuffer())


class OurFormat(Reader):
    """Reads what `write_recording` writes."""

    name = "recording"
    reads_by_trial = True

    def recognises(self, path: Path) -> bool:
        if file_kind(path) != "hdf5":
            return False
        with open_hdf5(path) as file:
            return str(file.attrs.get("format", "")).startswith("lfads-torch ")

    def read(self, path: Path, options: ReadOptions) -> Recording:
        with open_hdf5(path) as file:
            _need_format(path, file.attrs)
            _need_no_names(path, options, file)
            with naming(path):
                recording = _read_contents(path, file, options)
        if options.start_s is not None:
            recording = replace(recording, start_s=options.start_s)
        return recording if options.session is None else replace(recording, session=options.session)


def _write_contents(file: h5py.File, recording: Recording) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["bin_width_s"] = float(recording.bin_width_s)
    file.attrs["start_s"] = float(recording.start_s)
    file.attrs["session"] = recording.session
    file.attrs["provenance"] = _json(recording.provenance)
    for name in ("counts", "trial_ids", "unit_ids", *OPTIONAL):
        values = getattr(recording, name)
        if values is not None:
            _write(file, name, values)
    for name, values in recording.behaviour.items():
        dataset = _write(file, f"behaviour/{name}", values)
        if name in recording.behaviour_units:
            dataset.attrs["units"] = recording.behaviour_units[name]
    for name, values in recording.extra.items():
        _write(file, f"extra/{name}", values)
    if recording.chops is not None:
        chops = recording.chops
        _write(file, "chops/start_bins", chops.start_bins)
        file["chops"].attrs["n_session_bins"] = int(chops.n_session_bins)
        file["chops"].attrs["session_start_s"] = float(chops.session_start_s)
        file["chops"].attrs["overlap_bins"] = int(chops.overlap_bins)
    if recording.split is not None:
        _write(file, "split/trial_set", recording.split.trial_set)
        _write(file, "split/is_encoded", recording.split.is_encoded)
        file["split"].attrs["n_encoded_bins"] = int(recording.split.n_encoded_bins)
        file["split"].attrs["provenance"] = _json(recording.split.provenance)


def _write(file: h5py.File, name: str, values: NDArray[Any]) -> h5py.Dataset:
    import h5py

    values = np.asarray(values)
    if values.dtype.kind in "US" or (
        values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat)
    ):
        return file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    if values.dtype.kind not in "biufc":
        raise DataError(
            f"{name} has type {values.dtype}, which a recording file can't hold; "
            "numbers or text are needed."
        )
    can_be_packed = values.ndim > 0 and values.size > 0  # HDF5 packs neither scalars nor nothing
    packing: dict[str, Any] = (  # options of h5py
        {"compression": "gzip", "compression_opts": 4, "shuffle": True} if can_be_packed else {}
    )
    if can_be_packed and name in OF_UNITS:
        packing["chunks"] = _whole_trials(values)
    return file.create_dataset(name, data=values, **packing)


def _whole_trials(values: NDArray[Any]) -> tuple[int, ...]:
    """Chunks of whole trials, so that a trial can be read by itself; long ones in parts."""
    n_trials, n_bins, n_units = values.shape
    per_bin = n_units * values.dtype.itemsize
    bins = max(1, min(n_bins, CHUNK_BYTES // per_bin))
    trials = max(1, min(n_trials, CHUNK_BYTES // (bins * per_bin)))
    return trials, bins, n_units


def _json(values: Mapping[str, Any]) -> str:  # JSON values
    def plain(value: Any) -> Any:  # NumPy's scalars and arrays as JSON values
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise DataError(
            f"provenance holds a {type(value).__name__}, which JSON can't; use numbers, text, "
            "lists and dictionaries."
        )

    return json.dumps(dict(values), default=plain, ensure_ascii=False)


def _need_format(path: Path, attributes: Mapping[str, Any]) -> None:  # HDF5 values
    found, version = attributes.get("format"), attributes.get("format_version")
    if found != FORMAT:
        raise FormatError(
            f"{path}: this is a file of the kind {str(found)!r}; a recording is needed "
            f"({FORMAT!r}, or a file with counts)."
        )
    try:
        number = int(version)  # type: ignore[arg-type]  # None and text end in the except branch
    except (TypeError, ValueError):
        raise FormatError(
            f"{path}: format_version is {version!r}; a whole number is needed. "
            "Write the file again."
        ) from None
    if number > FORMAT_VERSION:
        raise FormatError(
            f"{path}: the file has format_version {number}, this lfads-torch reads up to "
            f"{FORMAT_VERSION}. Install a newer lfads-torch."
        )


def _need_no_names(path: Path, options: ReadOptions, file: h5py.File) -> None:
    """Options that name arrays are for other layouts; a silent no would hide a mistake."""
    names = ("counts", "condition", "external_inputs", "trial_inputs", "trial_ids", "unit_ids")
    for name in names:
        asked = getattr(options, name)
        if asked not in (None, name):
            raise FormatError(
                f"{path}: the file is a recording already, in which the {name} are called "
                f"{name!r}; leave out --{name.replace('_', '-')} {asked}."
            )
    known = sorted(file.get("behaviour", ()))
    for asked in options.behaviour:
        if asked not in known:
            raise FormatError(
                f"{path}: there is no behaviour {asked!r}. Found: {', '.join(known) or 'none'}."
            )


def _read_contents(path: Path, file: h5py.File, options: ReadOptions) -> Recording:
    for name in ("counts", "trial_ids", "unit_ids"):
        if name not in file:
            raise FormatError(
                f"{path}: {name!r} is missing, which every recording file has (docs/formats.md). "
                "Write the file again."
            )
    large = _large(path, file, options)
    optional = {
        name: large[name] if name in large else dataset_values(file[name])
        for name in OPTIONAL
        if name in file
    }
    behaviour = _group(file, "behaviour")
    in_file = file.attrs.get("bin_width_s")
    counts = large["counts"] if large else dataset_values(file["counts"])
    recording = Recording(
        counts=_real_numbers(path, counts),
        bin_width_s=agreed_bin_width(
            path, None if in_file is None else float(in_file), options.bin_width_s
        ),
        trial_ids=dataset_values(file["trial_ids"]),
        unit_ids=dataset_values(file["unit_ids"]),
        start_s=float(file.attrs.get("start_s", 0.0)),
        session=str(file.attrs.get("session", path.stem)),
        behaviour=behaviour,
        behaviour_units={
            name: str(file["behaviour"][name].attrs["units"])
            for name in behaviour
            if "units" in file["behaviour"][name].attrs
        },
        chops=_read_chops(path, file),
        split=_read_split(path, file),
        extra=_group(file, "extra"),
        provenance=_parsed(path, file.attrs),
        **optional,
    )
    if large and recording.n_trial_bins is not None:
        recording.check_missing_ends()
    return recording


def _large(path: Path, file: h5py.File, options: ReadOptions) -> dict[str, NDArray[Any]]:
    """What stays in the file, by name; nothing where counts are read whole."""
    found = {name: file[name] for name in OF_UNITS if name in file}
    if any(len(each.shape or ()) != 3 for each in found.values()):
        return {}  # refused with its shape when it is read
    n_bytes = sum(each.size * each.dtype.itemsize for each in found.values())
    counts = found["counts"]
    reason = why_by_trial(
        options,
        counts.size,
        n_bytes,
        trials_per_chunk=(counts.chunks or (1,))[0],
        bytes_per_trial=counts.size * counts.dtype.itemsize // max(len(counts), 1),
    )
    if reason is None:
        return {}
    return {
        name: trials_in_file(
            path,
            [Piece(name=name, shape=each.shape)],
            [each.dtype],
            options=options,
            reason=reason,
        )
        for name, each in found.items()
    }


def _read_chops(path: Path, file: h5py.File) -> Chops | None:
    if "chops" not in file:
        return None
    group = file["chops"]
    try:
        return Chops(
            start_bins=dataset_values(group["start_bins"]).astype(np.int64),
            n_session_bins=int(group.attrs["n_session_bins"]),
            session_start_s=float(group.attrs.get("session_start_s", 0.0)),
            overlap_bins=int(group.attrs.get("overlap_bins", 0)),
        )
    except KeyError as error:
        raise FormatError(
            f"{path}: the chops in the file lack something ({error}); start_bins and "
            "n_session_bins are needed (docs/formats.md). Write the file again."
        ) from None


def _read_split(path: Path, file: h5py.File) -> Split | None:
    if "split" not in file:
        return None
    group = file["split"]
    try:
        return Split(
            trial_set=dataset_values(group["trial_set"]),
            is_encoded=dataset_values(group["is_encoded"]).astype(bool),
            n_encoded_bins=int(group.attrs["n_encoded_bins"]),
            provenance=_parsed(path, group.attrs),
        )
    except KeyError as error:
        raise FormatError(
            f"{path}: the split in the file lacks something ({error}); trial_set, is_encoded and "
            "n_encoded_bins are needed (docs/formats.md). Write the file again."
        ) from None


def _real_numbers(path: Path, counts: NDArray[Any]) -> NDArray[Any]:
    if counts.dtype.kind not in "biuf":
        raise DataError(f"counts have type {counts.dtype}; real numbers are needed.")
    return counts


def _group(file: h5py.File, name: str) -> dict[str, NDArray[Any]]:
    """Every dataset below the group by its path in it, in the order of the file."""
    import h5py

    found: dict[str, NDArray[Any]] = {}

    def visit(below: str, item: Any) -> None:  # h5py has no types: Group or Dataset
        if isinstance(item, h5py.Dataset):
            found[below] = dataset_values(item)

    if name in file:
        file[name].visititems(visit)
    return found


def _parsed(path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:  # HDF5, then JSON values
    try:
        values = json.loads(attributes.get("provenance", "{}"))
    except (TypeError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise FormatError(
            f"{path}: the attribute provenance is no JSON text of a dictionary. "
            "Write the file again."
        )
    return values
