"""Rates of files, or of a run's own recordings, each by the weights of its session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.infer_file import InferRequest, inferred_files, need_same_place
from lfads_torch.workflows.sessions.choose import run_of_file, run_of_session
from lfads_torch.workflows.sessions.folder import refresh_sessions

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["Inferred", "infer_files", "inferred_sessions"]


@dataclass(frozen=True)
class Inferred:
    """Rates of one recording: the run that gave them (of several sessions, the session's)."""

    run: RunFolder
    paths: tuple[Path, ...]  # merged rates too


def infer_files(
    run: RunFolder,
    request: InferRequest,
    sources: Sequence[Path],
    target: Path,
    *,
    session: str | None = None,
) -> list[Path]:
    """As `inferred_sessions`: every file written."""
    found = inferred_sessions(run, request, sources, target, session=session)
    return [path for each in found for path in each.paths]


def inferred_sessions(
    run: RunFolder,
    request: InferRequest,
    sources: Sequence[Path],
    target: Path,
    *,
    session: str | None = None,
) -> list[Inferred]:
    """Write the rates of these files; of none, of the run's own recordings, or of one `session`.

    One recording goes to the file `target`, several to files in the folder `target`, named after
    the sessions (the run's own) or the files.
    """
    if not sources:
        named = run.read_record().sessions
        own = run_of_session(run, session) if session and named else run
        if own.read_record().sessions:
            return _each(own, request, target)
        return [_inferred(own, request, target)]
    asked = [replace(request, source=source) for source in sources]
    if len(asked) == 1:
        own = run_of_file(run, sources[0], request.read_options)
        return [_inferred(own, asked[0], target)]
    stems = [source.stem for source in sources]
    if len(set(stems)) < len(stems):
        raise SettingsError(
            f"the files {', '.join(str(each) for each in sources)} have names in common, after "
            "which their rates would be named. Infer them one by one, each to its own --out."
        )
    _make(target)
    places = [target / f"{stem}.nc" for stem in stems]
    _need_free(places, sources)
    runs = [run_of_file(run, each, request.read_options) for each in sources]
    for own, one, place in zip(runs, asked, places, strict=True):
        need_same_place(own, one, place)
    return [_inferred(*each) for each in zip(runs, asked, places, strict=True)]


def _each(run: RunFolder, request: InferRequest, target: Path) -> list[Inferred]:
    _make(target)
    places = {target / f"{own.path.name}.nc": own for own in refresh_sessions(run)}
    _need_free(places, ())
    for place, own in places.items():
        need_same_place(own, request, place)
    return [_inferred(own, request, place) for place, own in places.items()]


def _inferred(own: RunFolder, request: InferRequest, target: Path) -> Inferred:
    return Inferred(own, tuple(inferred_files(own, request, target)))


def _need_free(places: Iterable[Path], sources: Sequence[Path]) -> None:
    """Before the first is inferred, that all may be written."""
    from lfads_torch.outputs.target_file import RATES, prepare_target

    for place in places:
        prepare_target(place, RATES, inputs=sources)


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
