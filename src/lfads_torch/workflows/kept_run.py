"""Run folders that belong to an object in memory: made, packed into bytes, copied, removed."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

from lfads_torch.atomic import PART_SUFFIX, output_error
from lfads_torch.errors import OutputError
from lfads_torch.outputs.run_folder import LOCK, RunFolder

__all__ = ["TemporaryFolder", "copy_run", "pack_run", "unpack_run"]


class TemporaryFolder:
    """A folder that is there as long as this object, and not after the process has ended."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lfads-"))
        self._remover = weakref.finalize(self, _remove, self.path, os.getpid())


def pack_run(run: RunFolder) -> dict[str, bytes]:
    """Every file of a run by its name within the folder."""
    return {name: (run.path / name).read_bytes() for name in _names(run.path)}


def unpack_run(files: Mapping[str, bytes], folder: Path) -> RunFolder:
    """A run folder of these files."""
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return RunFolder(folder)


def copy_run(run: RunFolder, target: Path) -> Path:
    """Copy a run's files to a new or empty folder, whole or not at all.

    Raises OutputError where something is there already or nothing can be written.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise OutputError(
            f"{target}: there is something already. Name a new or an empty folder to save to."
        )
    absolute = Path(os.path.realpath(target))
    beside = absolute.with_name(f".{absolute.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        absolute.parent.mkdir(parents=True, exist_ok=True)
        for name in _names(run.path):
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.path / name, beside / name)
        if absolute.exists():
            absolute.rmdir()  # empty; Windows does not rename onto it
        beside.rename(absolute)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def _names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.relative_to(folder).as_posix()
        for path in files
        if path.name != LOCK and PART_SUFFIX not in path.name
    )


def _remove(path: Path, owner: int) -> None:
    # A forked child ends with copies of its parent's objects; the folder is the parent's.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
