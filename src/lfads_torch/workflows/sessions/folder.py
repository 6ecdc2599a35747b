"""The folder of a run of several sessions: in `sessions/NAME` lies each as a run of its own.

Such a folder holds the recording's split and card, and once there is a model its weights for this
session alone, so that whatever works on a run of one recording works on each of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import RunFolder

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording

__all__ = [
    "SESSIONS",
    "folder_names",
    "joint_fingerprint",
    "read_recordings_of",
    "refresh_sessions",
    "require_whole_run",
    "session_run",
    "session_runs",
]

SESSIONS = "sessions"
_LONGEST_NAME = 80


def session_runs(run: RunFolder) -> tuple[RunFolder, ...]:
    """The folders of a run's sessions, in their order; of a run of one recording, itself."""
    named = run.read_record().sessions
    return tuple(RunFolder(run.path / place) for place in named.values()) if named else (run,)


def session_run(run: RunFolder, name: str) -> RunFolder:
    """The folder of one session of a run. Raises RunError where there is none of this name."""
    from lfads_torch.workflows.model_card import read_card

    named = run.read_record().sessions
    if name in named:
        return RunFolder(run.path / named[name])
    if not named and name == read_card(run).session:
        return run
    known = ", ".join(named) if named else f"{read_card(run).session} alone"
    raise RunError(f"{run.path}: there is no session {name!r}; there is {known}.")


def read_recordings_of(run: RunFolder, paths: Sequence[Path] = ()) -> tuple[Recording, ...]:
    """The recordings that a run was trained on, with its splits.

    `paths` say where they are now: one for each session, in the order of the sessions, or none.
    Raises RunError where a file is gone or its content has changed.
    """
    from lfads_torch.workflows.stored import read_recording_of

    each = session_runs(run)
    if paths and len(paths) != len(each):
        raise RunError(
            f"{run.path}: has {len(each)} sessions ({', '.join(run.read_record().sessions)}), and "
            f"{len(paths)} files are given (--data). Give one for each, in this order."
        )
    given: list[Path | None] = [*paths] if paths else [None] * len(each)
    return tuple(read_recording_of(one, path) for one, path in zip(each, given, strict=True))


def require_whole_run(run: RunFolder) -> None:
    """Raise RunError for the folder of one session, which is trained as a part of its run."""
    whole = run.read_record().session_of
    if whole:
        raise RunError(
            f"{run.path}: is one session of the run {whole}, two folders above. Training goes on "
            "there, with all its sessions; here it can be inferred, evaluated and drawn."
        )


def folder_names(sessions: Sequence[str]) -> dict[str, str]:
    """A folder within the run for each session; what no file system takes is replaced."""
    found: dict[str, str] = {}
    for name in sessions:
        plain = re.sub(r"[^\w.-]", "_", name)[:_LONGEST_NAME].strip(".") or "session"
        taken = {place.lower() for place in found.values()}
        candidate, n = plain, 2
        while f"{SESSIONS}/{candidate}".lower() in taken:
            candidate, n = f"{plain}_{n}", n + 1
        found[name] = f"{SESSIONS}/{candidate}"
    return found


def joint_fingerprint(prints: Sequence[str]) -> str:
    """One fingerprint of several recordings; the same in whatever order."""
    return hashlib.sha256("\n".join(sorted(prints)).encode()).hexdigest()


def refresh_sessions(run: RunFolder) -> tuple[RunFolder, ...]:
    """Bring the folders of the sessions up to the run's best weights, status and search.

    They are the run itself where it has one recording. Raises RunError without a checkpoint.
    """
    from lfads_torch.atomic import write_text

    record = run.read_record()
    if not record.sessions:
        return (run,)
    run.require("settings.yaml", "checkpoints/best.safetensors")
    metrics = run.metrics_path.read_text("utf-8") if run.metrics_path.is_file() else ""
    for name, place in record.sessions.items():
        own = RunFolder(run.path / place)
        before = own.read_record()
        _write_weights(run, own, name, list(record.sessions))
        own.write_record(
            replace(
                before,
                **{key: getattr(record, key) for key in _OF_THE_RUN},
                beta={
                    key: None if value is None else value * before.beta_share
                    for key, value in record.beta.items()
                },
            )
        )
        if metrics:
            write_text(own.metrics_path, metrics)
    return session_runs(run)


_OF_THE_RUN = (
    "status", "start", "end", "reason", "n_members", "search", "grouping", "threads", "precision",
    "device", "backend", "arithmetic", "versions", "machine",
)  # fmt: skip


def _write_weights(run: RunFolder, own: RunFolder, name: str, every: Sequence[str]) -> None:
    """The run's best weights without the read-ins and read-outs of other sessions."""
    from lfads_torch.training.checkpoint import copy_best

    own_parts = (f"weights/readin.{name}.", f"weights/readout.{name}.")
    others = tuple(
        f"weights/{part}.{other}." for other in every if other != name
        for part in ("readin", "readout")
    )  # fmt: skip
    copy_best(
        run.best_checkpoint_path,
        own.best_checkpoint_path,
        keeps=lambda each: each.startswith(own_parts) or not each.startswith(others),
    )
