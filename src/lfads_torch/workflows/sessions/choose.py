"""Which session of a run a file or a name belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import RunError
from lfads_torch.workflows.sessions.folder import refresh_sessions, session_run

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["run_of_file", "run_of_session"]


def run_of_session(run: RunFolder, name: str | None, *, needs_weights: bool = True) -> RunFolder:
    """The folder of this session, its weights up to date; without a name the run as it is.

    Raises RunError where a run has several sessions and none of this name.
    """
    if name is None:
        return run
    if needs_weights:
        refresh_sessions(run)
    return session_run(run, name)


def run_of_file(run: RunFolder, source: Path, options: ReadOptions | None) -> RunFolder:
    """The folder of the session that a file belongs to: by its session name, or by its content.

    A run of one recording is that itself. Raises RunError where no session fits, and where the
    options name one that the run has not.
    """
    from lfads_torch.data.fingerprint import fingerprint
    from lfads_torch.workflows.infer_file import read_as_before

    named = run.read_record().sessions
    if not named:
        return run
    asked = None if options is None else options.session
    if asked is not None and asked not in named:
        raise RunError(
            f"{source}: session (--session) is {asked!r}, and {run.path} was trained on "
            f"{', '.join(named)}. "
            "Give one of these, or leave it out for a file that says which it is."
        )
    recording = read_as_before(run, source, options)
    each = dict(zip(named, refresh_sessions(run), strict=True))
    if recording.session in each:
        return each[recording.session]
    content = fingerprint(recording)
    for own in each.values():
        if own.read_record().data_fingerprint == content:
            return own
    raise RunError(
        f"{source}: its session is {recording.session!r}, and {run.path} was trained on "
        f"{', '.join(named)}. Say which of them it is with --session NAME; a session of other "
        f"units is added with `lfads add-session {run.path} {source}`."
    )
