"""`lfads inspect`: what any file or run folder of ours contains, without loading its arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lfads_torch.counted import counted
from lfads_torch.data.formats.outlook import outlook
from lfads_torch.errors import FormatError
from lfads_torch.outputs.file_kind import (
    first_bytes,
    found_kind,
    hdf5_attributes,
    is_hdf5,
    is_safetensors,
)
from lfads_torch.outputs.inspect_arrays import ORIGIN, describe_arrays
from lfads_torch.outputs.inspect_records import (
    describe_left_out,
    describe_record,
    describe_shapes,
)
from lfads_torch.outputs.inspect_search import describe_history, describe_space
from lfads_torch.outputs.json_text import plain
from lfads_torch.outputs.left_out_file import LEFT_OUT
from lfads_torch.outputs.metrics_log import MetricsLog
from lfads_torch.outputs.run_folder import RunFolder, list_runs
from lfads_torch.outputs.run_status import status
from lfads_torch.outputs.shapes_file import SHAPES

__all__ = ["Description", "describe", "rows"]

Description = dict[str, Any]  # JSON values; nested dicts are sections

STATE_FORMAT = "lfads-torch state"
SETTINGS_SECTIONS = {
    "model", "sessions", "loss", "augmentation", "training", "search", "split", "inference", "run",
    "chop",
}  # fmt: skip
WANTED = (
    "a run folder, recording, split, rates, state (safetensors), metrics.jsonl, history.csv, "
    "settings.yaml, space.yaml, export of rates or other file of lfads-torch is needed, or arrays "
    "in a .npz, .npy, .mat or HDF5 file"
)


def describe(path: str | os.PathLike[str]) -> Description:
    """What `path` is (`what`) and holds: names, shapes, types, attributes, settings, progress.

    Only headers and texts are read of our files, never a pickle. Of files of arrays of others it is
    said what a fit would take, and for that they are read as a fit reads them.
    FormatError names what was found when it is neither.
    """
    place = Path(path)
    if place.is_dir():
        return _describe_folder(place)
    first_bytes(place)
    if is_hdf5(place):
        return _describe_hdf5(place)
    if is_safetensors(place):
        return _describe_safetensors(place)
    arrays = describe_arrays(place)
    if arrays is not None:
        return arrays
    texts = (
        _describe_json,
        _describe_metrics,
        describe_history,
        describe_space,
        _describe_settings,
    )
    for describe_text in texts:
        description = describe_text(place)
        if description is not None:
            return description
    raise _not_ours(place)


def rows(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The description as lines of a table: nested names joined by dots, values as short text."""
    lines: list[tuple[str, str]] = []
    for name, value in description.items():
        if isinstance(value, Mapping):
            lines += [(f"{name}.{inner}", text) for inner, text in rows(value)]
        elif _are_scores(value):
            lines += [(f"{name}.{each['name']}", _score_text(each)) for each in value]
        elif _are_sections(value):
            named = {str(n): each for n, each in enumerate(value)}
            lines += [(f"{name}.{inner}", text) for inner, text in rows(named)]
        else:
            lines.append((name, _short(value)))
    return lines


def _are_scores(value: object) -> bool:
    """Entries as of `scores.json`."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and {"name", "value"} <= each.keys() for each in value)
    )


def _are_sections(value: object) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
    )


def _score_text(entry: Mapping[str, Any]) -> str:
    """Value, unit and interval; why there is none."""
    if entry["value"] is None:
        return f"- ({entry.get('reason') or 'no reason is given'})"
    low, high = entry.get("low"), entry.get("high")
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    interval = "" if low is None or high is None else f" ({_short(low)} to {_short(high)})"
    return f"{_short(entry['value'])}{unit}{interval}"


def _not_ours(path: Path) -> FormatError:
    return FormatError(f"{path}: {found_kind(path)}; {WANTED}.")


def _describe_folder(path: Path) -> Description:
    if RunFolder.is_run(path):
        run = RunFolder.open(path)
        record = plain(run.read_record())
        return {"what": "run", **status(path), "record": record}
    if (path / LEFT_OUT).is_file():
        return describe_left_out(path / LEFT_OUT)
    if (path / SHAPES).is_file():
        return describe_shapes(path / SHAPES)
    runs = list_runs(path)
    if not runs:
        raise FormatError(f"{path}: a folder that is not a run and holds none; {WANTED}.")
    return {
        "what": "folder of runs",
        "runs": {run.path.name: _run_in_one_line(run) for run in runs},
    }


def _run_in_one_line(run: RunFolder) -> str:
    standing = status(run.path)
    epochs = counted(standing["n_epochs"], "epoch")
    return f"{standing['status']}, {epochs}, started {standing['start']}"


def _describe_hdf5(path: Path) -> Description:
    attributes = hdf5_attributes(path)
    kind = str(attributes.get("format", ""))
    if not kind.startswith("lfads-torch "):
        with path.open("rb") as file:
            what = "MATLAB 7.3 file" if file.read(10) == b"MATLAB 7.3" else "HDF5 file"
        contents = _hdf5_contents(path)
        taken = {"a_fit_takes": outlook(path)}
        return {
            "what": what,
            "origin": ORIGIN,
            "contents": contents,
            "n_bytes": _size(path),
            **taken,
        }
    shown = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return {
        "what": kind.removeprefix("lfads-torch "),
        **_with_json(shown),
        "contents": _hdf5_contents(path),
        "n_bytes": _size(path),
    }


def _hdf5_contents(path: Path) -> dict[str, str]:
    """Path of each dataset, with its shape, type and unit of measure."""
    import h5py

    contents: dict[str, str] = {}

    def note(name: str, item: h5py.Dataset | h5py.Group) -> None:
        # netCDF keeps a dimension without values as a dataset of that name.
        if isinstance(item, h5py.Dataset) and not _is_bare_dimension(item):
            contents[name] = f"{_shape_text(item.shape)} {_type_text(item.dtype)}{_unit_text(item)}"

    try:
        with h5py.File(path, "r") as file:
            file.visititems(note)
    except (OSError, RuntimeError, KeyError) as error:
        raise FormatError(f"{path}: damaged or truncated ({error}). Write it again.") from error
    return contents


def _size(path: Path) -> int:
    return path.stat().st_size


def _describe_safetensors(path: Path) -> Description:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise FormatError(
                f"{path}: looks like a safetensors file with a damaged header ({error}). "
                "Restore it from a copy."
            ) from error
    metadata = header.pop("__metadata__", None) or {}
    if metadata.get("format") != STATE_FORMAT:
        raise FormatError(
            f"{path}: a safetensors file with the format {metadata.get('format')!r}; {WANTED}."
        )
    return {
        "what": "state",
        **_with_json(metadata),
        "tensors": {
            name: f"{_shape_text(entry['shape'])} {entry['dtype']}"
            for name, entry in sorted(header.items())
        },
        "n_bytes": path.stat().st_size,
    }


def _describe_json(path: Path) -> Description | None:
    content = _parsed(path, json.loads, at_most_bytes=2**26)
    if not isinstance(content, dict):
        return None
    kind = str(content.get("format", ""))
    if (record := describe_record(path, content)) is not None:
        return record
    if kind.startswith("lfads-torch "):
        inner = {name: value for name, value in content.items() if name != "format"}
        return {"what": kind.removeprefix("lfads-torch "), "format": kind, **inner}
    if {"validation_trials", "held_out_units"} <= content.keys():
        return {"what": "split", "format": "positions of validation trials", **content}
    return None


def _describe_metrics(path: Path) -> Description | None:
    first = first_bytes(path, 2**20).split(b"\n", 1)[0]
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not {"epoch", "step"} <= row.keys():
        return None
    history = MetricsLog(path).read()
    terms = [name for name in row if name not in ("epoch", "step", "seconds")]
    return {
        "what": "metrics",
        "n_epochs": len(history),
        "n_members": max((len(v) for v in row.values() if isinstance(v, list)), default=1),
        "quantities": terms,
        "last": history[-1] if history else {},
    }


def _describe_settings(path: Path) -> Description | None:
    import yaml

    content = _parsed(path, yaml.safe_load, at_most_bytes=2**20)
    if not isinstance(content, dict) or not SETTINGS_SECTIONS & content.keys():
        return None
    return {"what": "settings", **{str(name): value for name, value in content.items()}}


def _parsed(
    path: Path, parse: Callable[[str], Any], *, at_most_bytes: int
) -> Any:  # a JSON or YAML value; None when it is none, or too large to be one of ours
    import yaml

    if path.stat().st_size > at_most_bytes:
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, yaml.YAMLError):  # ValueError: also what is not UTF-8
        return None


def _with_json(attributes: Mapping[str, Any]) -> Description:
    """Attributes, with those that are JSON objects in text opened."""
    opened: Description = {}
    for name, value in attributes.items():
        opened[name] = plain(value)
        if isinstance(value, str) and value.startswith("{"):
            try:
                opened[name] = json.loads(value)
            except ValueError:
                continue
    return opened


def _is_bare_dimension(item: Any) -> bool:  # h5py.Dataset
    name = item.attrs.get("NAME", b"")
    return isinstance(name, bytes) and name.startswith(b"This is a netCDF dimension but not")


def _shape_text(shape: Any) -> str:  # tuple or list of int, None for an empty dataset
    return "[" + ", ".join(str(size) for size in shape or ()) + "]"


def _type_text(dtype: Any) -> str:  # numpy.dtype
    return "text" if dtype.kind in "OSU" else str(dtype)


def _unit_text(item: Any) -> str:  # h5py.Dataset
    units = item.attrs.get("units", "")
    text = units.decode(errors="replace") if isinstance(units, bytes) else str(units)
    return f", {text}" if text and text != "1" else ""


def _short(value: object, *, at_most: int = 8) -> str:
    if isinstance(value, list) and len(value) > at_most:
        return f"{', '.join(map(_short, value[:at_most]))}, ... ({len(value)})"
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)
