"""Reader of any HDF5, npz or npy file with an array of counts [trial, bin, unit] in it."""

from __future__ import annotations

from pathlib import Path

from lfads_torch.data.formats.assemble import recording_from_stored
from lfads_torch.data.formats.base import Reader, ReadOptions
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.content import file_kind
from lfads_torch.data.recording import Recording

__all__ = ["NamedArrays"]


class NamedArrays(Reader):
    """Counts, condition, behaviour and the rest, by option, by name, or by shape and values."""

    name = "arrays"
    reads_axes = True

    def recognises(self, path: Path) -> bool:
        return file_kind(path) in {"hdf5", "npz", "npy"}

    def read(self, path: Path, options: ReadOptions) -> Recording:
        with open_stored(path) as stored:
            return recording_from_stored(stored, options, self.name)
