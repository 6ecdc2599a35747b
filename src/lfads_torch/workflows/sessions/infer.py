"""Rates of files, or of a run's own recordings, each by the weights of its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.infer_file import InferRequest, inferred_files
from lfads_torch.workflows.sessions.choose import run_of_file, run_of_session
from lfads_torch.workflows.sessions.folder import refresh_sessions

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["infer_files"]


def infer_files(
    run: RunFolder,
    request: InferRequest,
    sources: Sequence[Path],
    target: Path,
    *,
    session: str | None = None,
) -> list[Path]:
    """Write the rates of these files; of none, of the run's own recordings, or of one `session`.

    One recording goes to the file `target`, several to files in the folder `target`, named after
    the sessions (the run's own) or the files. Returns every file written, merged ones too.
    """
    if not sources:
        named = run.read_record().sessions
        own = run_of_session(run, session) if session and named else run
        if own.read_record().sessions:
            return _each(own, request, target)
        return inferred_files(own, request, target)
    asked = [replace(request, source=source) for source in sources]
    if len(asked) == 1:
        own = run_of_file(run, sources[0], request.read_options)
        return inferred_files(own, asked[0], target)
    stems = [source.stem for source in sources]
    if len(set(stems)) < len(stems):
        raise SettingsError(
            f"the files {', '.join(str(each) for each in sources)} have names in common, after "
            "which their rates would be named. Infer them one by one, each to its own --out."
        )
    _make(target)
    written = []
    for each, one in zip(sources, asked, strict=True):
        own = run_of_file(run, each, request.read_options)
        written += inferred_files(own, one, target / f"{each.stem}.nc")
    return written


def _each(run: RunFolder, request: InferRequest, target: Path) -> list[Path]:
    _make(target)
    return [
        path
        for own in refresh_sessions(run)
        for path in inferred_files(own, request, target / f"{own.path.name}.nc")
    ]


def _make(folder: Path) -> None:
    from lfads_torch.atomic import output_error

    if folder.is_file() or folder.suffix == ".nc":
        raise SettingsError(
            f"--out {folder}: several recordings are written, one file each; name a folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
