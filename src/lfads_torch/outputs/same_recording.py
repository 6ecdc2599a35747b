"""Whether a file that a command would replace is of the recording that the command is about."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lfads_torch.counted import counted
from lfads_torch.data.source_file import content_hash
from lfads_torch.errors import OutputError
from lfads_torch.outputs.file_kind import hdf5_attributes
from lfads_torch.outputs.run_folder import RunFolder

__all__ = [
    "RatesOf", "rates_of_file", "require_own_place", "require_same_prepared", "require_same_rates",
    "require_same_source", "require_same_synthetic",
]  # fmt: skip

_DO = "name another file (--out), or say that it may be replaced (--overwrite)."
_DO_RATES = f"{_DO[:-2]}; overwrite=True)."  # these have a function in Python as well


@dataclass(frozen=True, kw_only=True)
class RatesOf:
    """What rates are of: the recording by name, content and units."""

    session: str
    fingerprint: str | None  # None: an older rates file does not say it
    unit_ids: Sequence[str]
    run: str = ""  # name of the folder of the run that gave them; "": not known, or no matter


def require_same_rates(target: Path, new: RatesOf) -> None:
    """Raise OutputError where `target` holds rates of another recording or run.

    An older file does not say the content of its recording; there the name of the session and the
    units decide. A target that is missing or empty holds nothing.
    """
    if not _holds_something(target):
        return
    old = rates_of_file(target)
    if old.run and new.run and old.run != new.run:
        raise OutputError(
            f"{target}: holds rates of the run {old.run}; those of {new.run} would replace them. "
            f"Nothing was written: {_DO_RATES}"
        )
    if old.fingerprint and new.fingerprint:
        if old.fingerprint == new.fingerprint:
            return
    elif (old.session, tuple(old.unit_ids)) == (new.session, tuple(new.unit_ids)):
        return
    same_name = "of other content under the same name" if old.session == new.session else ""
    raise OutputError(
        f"{target}: holds rates of the recording {_name(old)}; those of "
        f"{' '.join(filter(None, ('another,', _name(new), same_name)))}, would replace them. "
        f"Nothing was written: {_DO_RATES}"
    )


def require_own_place(run: Path, target: Path) -> None:
    """Raise OutputError where `target` is the rates file of another run's folder."""
    folder = target.resolve().parent
    if not target.is_file() or not RunFolder.is_run(folder) or folder == run.resolve():
        return
    if target.name in ("rates.nc", "merged.nc"):
        raise OutputError(
            f"{target}: holds the rates of another run, {folder.name}; those of {run.name} would "
            f"replace them. Nothing was written: {_DO_RATES}"
        )


def rates_of_file(path: Path) -> RatesOf:
    """What a rates file, or a merged one, says of its recording."""
    import h5py

    attributes = hdf5_attributes(path)
    with h5py.File(path, "r") as file:
        units = np.atleast_1d(file["unit_id"][()]).tolist()
    return RatesOf(
        session=str(attributes.get("session", "")),
        fingerprint=attributes.get("data_fingerprint"),
        unit_ids=[each.decode() if isinstance(each, bytes) else str(each) for each in units],
        run=str(attributes.get("run", "")),
    )


def require_same_prepared(target: Path, session: str, provenance: Mapping[str, Any]) -> None:
    """Raise OutputError where `target` was made from another session.

    Another window or bin width of the same session and file may replace it. `provenance` is the
    new recording's (JSON values). The content of the file decides; targets of earlier versions
    know its name and size alone.
    """
    if not _holds_something(target):
        return
    old_session, old = _recorded(target)
    is_same, differs = _of_one_source(old, provenance)
    if is_same and old_session == session:
        return
    wanted = f", {differs}," if differs else f", made from {provenance.get('source')},"
    raise OutputError(
        f"{target}: holds the recording {old_session!r}, made from {_source_text(old)}; another, "
        f"{session!r}{wanted} would replace it, and runs of it would miss it. Nothing was "
        f"written: {_DO}"
    )


def require_same_source(target: Path, source: Path) -> None:
    """Raise OutputError where `target` was made from a file of other content than `source`.

    That is known before the work; `require_same_prepared` knows the session as well.
    """
    if not _holds_something(target):
        return
    old_session, old = _recorded(target)
    if old.get("source_sha256") in (None, content_hash(source)):
        return
    named = " of other content" if old.get("source") == source.name else ""
    raise OutputError(
        f"{target}: holds the recording {old_session!r}, made from {_source_text(old)}; another, "
        f"made from {source.name}{named}, would replace it, and runs of it would miss it. Nothing "
        f"was written: {_DO}"
    )


def _of_one_source(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether both were made of the same file, and what differs where its name does not."""
    named = old.get("source"), new.get("source")
    hashes = old.get("source_sha256"), new.get("source_sha256")
    if None not in hashes:
        differs = f"of a file {new.get('source')} of other content" if named[0] == named[1] else ""
        return (True, "") if hashes[0] == hashes[1] else (False, differs)
    # Earlier versions kept the name that a file of counts gave of its own source.
    if named[0] not in (named[1], new.get("original_source")):
        return False, ""
    before, now = old.get("source_bytes"), new.get("source_bytes")
    is_same = before is None or now is None or before == now
    return is_same, "" if is_same else f"now of {now} bytes"


def _source_text(provenance: Mapping[str, Any]) -> str:
    n_bytes = provenance.get("source_bytes")
    return f"{provenance.get('source')}" + (f" of {n_bytes} bytes" if n_bytes is not None else "")


def require_same_synthetic(target: Path, provenance: Mapping[str, Any]) -> None:
    """Raise OutputError where `target` was made by another system, seed or settings.

    Older files do not say their seed, so any seed may replace them.
    """
    if not _holds_something(target):
        return
    _, old = _recorded(target)
    new = json.loads(json.dumps(provenance))
    changed = [
        *(_change(name, old, new) for name in ("system", "seed") if name in old),
        *_changed_settings(old.get("settings", {}), new.get("settings", {})),
    ]
    changed = [each for each in changed if each]
    if changed:
        shown = ", ".join(changed[:4]) + (", ..." if len(changed) > 4 else "")
        raise OutputError(
            f"{target}: holds another synthetic recording ({shown}), which would be replaced, and "
            f"runs of it would miss it. Nothing was written: {_DO}"
        )


def _changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [_change(name, old, new) for name in old if name in new]


def _change(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return "" if old[name] == new.get(name) else f"{name} {old[name]}, now {new.get(name)}"


def _recorded(path: Path) -> tuple[str, dict[str, Any]]:
    """Session and provenance of a recording of ours."""
    attributes = hdf5_attributes(path)
    return str(attributes.get("session", "")), json.loads(attributes.get("provenance", "{}"))


def _holds_something(path: Path) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) > 0


def _name(of: RatesOf) -> str:
    return f"{of.session!r} ({counted(len(of.unit_ids), 'unit')})"
