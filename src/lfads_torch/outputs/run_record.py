"""`run.json`: what a run was started with, and how it stands."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

__all__ = [
    "FAILED",
    "FINISHED",
    "INTERRUPTED",
    "RUNNING",
    "STATUSES",
    "RunRecord",
    "library_versions",
    "machine_text",
    "now_text",
]

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
STATUSES = (RUNNING, FINISHED, INTERRUPTED, FAILED)

# What can change a number or the reading of a file.
LIBRARIES = (
    "lfads-torch", "torch", "numpy", "scipy", "scikit-learn", "h5py", "h5netcdf", "xarray",
    "safetensors", "triton",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The facts of a run. Mappings hold JSON values; times are ISO 8601 with the time zone."""

    status: str = RUNNING
    start: str = ""
    end: str | None = None  # when it finished, failed or was interrupted in good order
    reason: str | None = None  # why it failed or was interrupted, or which rule stopped it
    results_error: str | None = None  # why rates, scores or page could not be written afterwards
    command: tuple[str, ...] = ()
    seed: int = 0
    n_members: int = 1
    data_path: str | None = None  # None: counts given as an array
    data_fingerprint: str | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)  # how the file was read
    n_trials_at_once: int = 0  # that are scored and drawn, of counts read by trial; 0: not limited
    refit: Mapping[str, Any] = field(default_factory=dict)  # of which run, epochs, validation
    search: Mapping[str, Any] = field(default_factory=dict)  # of a search: method, ending, best
    sessions: Mapping[str, str] = field(default_factory=dict)  # of several: name -> its folder
    session_of: str | None = None  # the folder is of one session of this run
    beta_share: float = 1.0  # of one session: its beta over that of the run
    added_to: Mapping[str, Any] = field(default_factory=dict)  # the run that gave all but read-ins
    imported: Mapping[str, Any] = field(default_factory=dict)  # from whose checkpoint, how
    plugins: Mapping[str, Any] = field(default_factory=dict)  # name -> where it came from
    warm_start: Mapping[str, Any] = field(
        default_factory=dict
    )  # the run whose weights it began with
    warnings: tuple[str, ...] = ()  # what a reader of the results must know
    sizes: Mapping[str, int] = field(default_factory=dict)
    beta: Mapping[str, Any] = field(default_factory=dict)  # name -> number or one per member
    grouping: Any = None  # how members share a tensor program; JSON value of the training loop
    threads: int | None = None
    precision: str | None = None
    device: str | None = None
    backend: str | None = None
    arithmetic: int | None = None  # number in training/arithmetic.py; None: of an older version
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunRecord:
        """The record of a parsed `run.json`; keys this version does not know are passed over."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        for name in ("command", "warnings"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def library_versions() -> dict[str, str]:
    """Installed versions of what a run's numbers depend on, without importing any of it."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine_text() -> str:
    """Operating system and processor family, e.g. `Linux x86_64`; no name of the computer."""
    return f"{platform.system()} {platform.machine()}"


def now_text() -> str:
    """The time now, ISO 8601 to the second with the local time zone."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
