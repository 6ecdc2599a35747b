"""What a folder of sessions left out was begun with, to tell whether a command goes on with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.left_out_file import LeftOutRecord
    from lfads_torch.workflows.sessions.leave_out import LeaveOutRequest

__all__ = ["begun_with", "require_same"]

# Where and how fast it runs, and where counts lie meanwhile: what was begun may go on otherwise.
_MAY_DIFFER = frozenset(
    {"run.device", "run.threads", "run.members_at_once", "run.memory_gb", "run.preset",
     "data.read_by"}
)  # fmt: skip
_READ_MAY_DIFFER = frozenset({"read_by", "memory_gb"})
_NAMES = {
    "settings": "settings", "added_overrides": "settings of the added session (--set-added)",
    "read_options": "options for reading", "splits": "splits (hashes)",
    "data": "recordings (fingerprints)",
}  # fmt: skip


def begun_with(request: LeaveOutRequest) -> dict[str, Any]:
    """Settings, overrides of the added session, options for reading; of each session two hashes.

    One of its split and one of its data.
    """
    from lfads_torch.config.tree import flatten
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.outputs.json_text import json_text

    read = {} if request.read_options is None else vars(request.read_options)
    found = {
        "settings": {n: v for n, v in flatten(request.settings).items() if n not in _MAY_DIFFER},
        "added_overrides": sorted(request.added_overrides),
        "read_options": {n: v for n, v in read.items() if n not in _READ_MAY_DIFFER},
        "splits": {each.session: _hash_of_split(each) for each in request.recordings},
        "data": {each.session: fingerprint(each)[:16] for each in request.recordings},
    }
    return dict(json.loads(json_text(found)))  # as it is read back


def require_same(before: LeftOutRecord, new: LeftOutRecord, folder: Path) -> None:
    """Raise RunError where the folder was begun with other sessions, runs, trials or settings.

    A record of an earlier version does not say all of it. A whole part that it lacks is not looked
    at; a single setting or option came later, and the folder was begun with its default.
    """
    told: list[tuple[str, Any, Any]] = [
        ("sessions", [s.session for s in before.sessions], [s.session for s in new.sessions]),
        ("runs of each session", list(before.sessions[0].runs), list(new.sessions[0].runs)),
        ("training trials (--trials)", before.n_trials, new.n_trials),
        ("run of all sessions", before.run, new.run),
    ]
    for name, what in _NAMES.items():
        if name in before.begun_with:
            old, now = before.begun_with[name], new.begun_with[name]
            told.append((what, *_differing(old, now, _defaults(name, now))))
    for what, old, now in told:
        if old != now:
            raise RunError(
                f"{folder}: was begun with other {what} ({old}, now {now}). Go on with the same "
                "command, choose another --out, or replace it with --overwrite."
            )


def _differing(old: Any, now: Any, defaults: Mapping[str, Any]) -> tuple[Any, Any]:  # JSON values
    """Of mappings what is not in both; a message of every setting would say nothing."""
    if not (isinstance(old, Mapping) and isinstance(now, Mapping)):
        return old, now
    old, now = ({**defaults, **each} if each else each for each in (old, now))
    names = [name for name in {**old, **now} if old.get(name) != now.get(name)]
    return {name: old.get(name) for name in names}, {name: now.get(name) for name in names}


def _defaults(part: str, now: Mapping[str, Any]) -> dict[str, Any]:  # JSON values
    """Of settings (the plug-ins' too) or options for reading; of recordings there are none."""
    from lfads_torch.config.declarations import declarations
    from lfads_torch.config.layers import nested
    from lfads_torch.config.plugin_settings import plugin_settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.outputs.json_text import json_text

    found: dict[str, Any] = {}
    if part == "settings":
        known = declarations(plugin_settings(nested(now))[0])
        found = {n: each.default for n, each in known.items() if n not in _MAY_DIFFER}
    elif part == "read_options":
        found = {n: v for n, v in vars(ReadOptions()).items() if n not in _READ_MAY_DIFFER}
    return dict(json.loads(json_text(found)))  # as a record is read back


def _hash_of_split(recording: Recording) -> str:
    """Of trials, held-out units and encoded bins by ids; where the split came from is left out."""
    from lfads_torch.data.split_file import split_as_document

    assert recording.split is not None  # it was looked at before anything began
    document = split_as_document(recording.split, recording)
    del document["provenance"]
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
