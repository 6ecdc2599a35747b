"""Which reader takes a file: the first that recognises its content.

Ours comes first, then plug-ins (entry-point group `lfads_torch.readers`), then the more general
layouts. Readers are imported when they are asked, so a plug-in costs nothing before.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from lfads_torch.data.formats.base import Reader, ReadOptions
from lfads_torch.data.formats.content import file_kind, need_readable_file, what_cannot_be_read
from lfads_torch.data.recording import Recording
from lfads_torch.errors import FormatError

__all__ = ["ENTRY_POINT_GROUP", "read_recording", "reader_places"]

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

    `reader` asks for one reader: a name of `reader_places()` or "package.module:Class". A file that
    is missing, damaged or of no known layout gives a FormatError; counts that make no recording
    give a DataError. Both messages begin with the path.
    """
    path = Path(path)
    need_readable_file(path)
    options = ReadOptions() if options is None else options
    if reader is not None:
        return _load(reader, _place(reader)).read(path, options)
    for candidate in _readers():
        if candidate.recognises(path):
            return candidate.read(path, options)
    raise FormatError(what_cannot_be_read(path, file_kind(path)))


def reader_places() -> dict[str, str]:
    """Every reader by name, as "package.module:Class", in the order in which they are asked."""
    plug_ins = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**OURS, **plug_ins, **GENERAL}


def _readers() -> Iterator[Reader]:
    for name, place in reader_places().items():
        yield _load(name, place)


def _place(reader: str) -> str:
    if ":" in reader:
        return reader
    places = reader_places()
    if reader not in places:
        close = difflib.get_close_matches(reader, places, n=1, cutoff=0.4)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise FormatError(
            f"there is no reader {reader!r}.{hint} Known are {', '.join(places)}, or any "
            '"package.module:Class".'
        )
    return places[reader]


def _load(name: str, place: str) -> Reader:
    module, _, class_name = place.partition(":")
    try:
        reader_class = getattr(import_module(module), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FormatError(
            f"reader {name!r} ({place}) can't be loaded: {error}. Install what it needs, or "
            "remove the plug-in."
        ) from error
    if not (isinstance(reader_class, type) and issubclass(reader_class, Reader)):
        raise FormatError(
            f"reader {name!r} ({place}) is no reader; a subclass of "
            "lfads_torch.data.formats.base.Reader is needed."
        )
    return reader_class()
