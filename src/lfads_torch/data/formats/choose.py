"""Which reader takes a file: the first that recognises its content.

Ours comes first, then plug-ins (entry-point group `lfads_torch.readers`), then the more general
layouts. Readers are imported when they are asked, so a plug-in costs nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lfads_torch.data.formats.base import Reader, ReadOptions
from lfads_torch.data.formats.content import file_kind, need_readable_file, what_cannot_be_read
from lfads_torch.data.recording import Recording
from lfads_torch.declared import checked_values
from lfads_torch.errors import FormatError
from lfads_torch.plugin_returns import returned_kind
from lfads_torch.plugins import load_plugin, plugin_places

__all__ = ["ENTRY_POINT_GROUP", "read_recording", "reader_name", "reader_places", "within_reach"]

ENTRY_POINT_GROUP = "lfads_torch.readers"
OURS = {"recording": "lfads_torch.data.formats.ours:OurFormat"}
GENERAL = {
    "lfads_torch": "lfads_torch.data.formats.lfads_torch_layout:LfadsTorchLayout",
    "matlab": "lfads_torch.data.formats.mat_file:MatFile",
    "arrays": "lfads_torch.data.formats.named_arrays:NamedArrays",
}


def read_recording(
    path: Path | str, *, options: ReadOptions | None = None, reader: str | None = None
) -> Recording:
    """The recording in a file, whatever its name.

    `reader`, or that of the options, asks for one: a name of `reader_places()` or
    "package.module:Class". A file that
    is missing, damaged or of no known layout gives a FormatError; counts that make no recording
    give a DataError. Both messages begin with the path. With `options.chop_s` the file holds a
    continuous session, which is chopped.
    """
    path = Path(path)
    need_readable_file(path)
    options = ReadOptions() if options is None else options
    reader = options.reader if reader is None else reader
    if reader is not None and options.chop_s is not None:
        raise FormatError(
            f"{path}: the reader {reader!r} gives trials, and chop.length_s cuts a continuous "
            "session into them; leave one of the two out."
        )
    if options.chop_s is not None and options.read_by == "trial":
        raise FormatError(
            f"{path}: data.read_by=trial needs a file of trials, and chop.length_s cuts a "
            "continuous session into them. Cut it first: `lfads prepare --chop SECONDS`."
        )
    if options.chop_s is not None and options.reader_settings:
        raise FormatError(
            f"{path}: {', '.join(options.reader_settings)} are settings of a reader, and "
            "chop.length_s cuts a continuous session, which no reader of yours reads; leave one "
            "of the two out."
        )
    if options.chop_s is not None:
        from lfads_torch.data.prepare import chopped_recording

        return chopped_recording(path, options)
    return _read(_reader_of(path, reader), path, options)


def reader_name(path: Path) -> str:
    """Name of the reader that takes a file by its content."""
    need_readable_file(path)
    return _reader_of(path, None).name


def within_reach(path: Path, options: ReadOptions) -> ReadOptions:
    """The options for a file read as another one was: without read_by=trial where it cannot be."""
    if options.read_by != "trial":
        return options
    need_readable_file(path)
    if options.chop_s is None and _reader_of(path, options.reader).reads_by_trial:
        return options
    return replace(options, read_by="auto")


def _reader_of(path: Path, name: str | None) -> Reader:
    if name is not None:
        return _load(name, reader_places())
    for candidate in _readers():
        if candidate.recognises(path):
            return candidate
    raise FormatError(what_cannot_be_read(path, file_kind(path)))


def _read(reader: Reader, path: Path, options: ReadOptions) -> Recording:
    if options.signals:
        raise FormatError(
            f"{path}: --signals {options.signals[0]} makes units of the time series of a session, "
            "and this file is read as trials. Cut the session with `lfads prepare --signals ...`, "
            "or with chop.length_s in the settings of a fit."
        )
    if options.read_by == "trial" and not reader.reads_by_trial:
        raise FormatError(
            f"{path}: data.read_by=trial needs a recording file of lfads-torch or the HDF5 layout "
            f"of the earlier lfads-torch; this one is read by the reader {reader.name!r}, which "
            "takes counts whole. Write it anew with `lfads prepare`, or leave data.read_by out."
        )
    if options.axes is not None and not reader.reads_axes:
        raise FormatError(
            f"{path}: --axes {options.axes} (axes of ReadOptions in Python) says the order of axes "
            f"that a file does not say; this one is read by the reader {reader.name!r}, which "
            "knows it. Leave the option out."
        )
    values = checked_values(
        reader,
        options.reader_settings,
        what=f"{path}: the reader {reader.name!r}",
        error=FormatError,
    )
    found = reader.read(path, replace(options, reader_settings=values))
    return returned_kind(reader, "read", found, Recording)


def reader_places() -> dict[str, str]:
    """Every reader by name, as "package.module:Class", in the order in which they are asked."""
    return {**OURS, **plugin_places(ENTRY_POINT_GROUP), **GENERAL}


def _readers() -> Iterator[Reader]:
    places = reader_places()
    for name in places:
        yield _load(name, places)


def _load(name: str, places: dict[str, str]) -> Reader:
    reader = load_plugin(name, Reader, what="reader", ours=places, error=FormatError)
    return reader()
