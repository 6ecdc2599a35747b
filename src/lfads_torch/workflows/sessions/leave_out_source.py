"""What leave-one-session-out begins with: a finished run of several sessions, or their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import RunError, SettingsError
from lfads_torch.workflows.sessions.leave_out import LeaveOutRequest

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import Observer
    from lfads_torch.workflows.fit_file import FitRequest

__all__ = ["request_of_files", "request_of_run", "settings_of_run"]


def request_of_run(
    run: RunFolder, folder: Path, *, overrides: tuple[str, ...] = (), **asked: Any
) -> LeaveOutRequest:
    """Recordings, splits and settings of a run; `asked` are further fields of the request.

    `overrides` (section.key=value) change how the models are trained. Of a search the settings are
    those of its best model. Raises RunError for a run of one recording or one that is not finished.
    """
    from lfads_torch.workflows.sessions.folder import read_recordings_of, session_runs
    from lfads_torch.workflows.stored import read_options_of

    named = run.read_record().sessions
    if not named:
        raise RunError(
            f"{run.path}: is a run of one recording; leaving a session out takes a run of three or "
            "more (`lfads fit monday.h5 tuesday.h5 friday.h5`), or three or more files."
        )
    settings = settings_of_run(run, overrides)
    paths = [_data_of(own) for own in session_runs(run)]
    is_file = None not in paths
    return LeaveOutRequest(
        recordings=read_recordings_of(run),
        settings=settings,
        folder=folder,
        run=run,
        paths=tuple(path for path in paths if path is not None) if is_file else (),
        read_options=read_options_of(session_runs(run)[0]) if is_file else None,
        **asked,
    )


def request_of_files(request: FitRequest, observer: Observer, **asked: Any) -> LeaveOutRequest:
    """The files of a fit, read and divided as there; `asked` are further fields."""
    from lfads_torch.workflows.fit_file import read_recordings
    from lfads_torch.workflows.read_options import with_settings

    options = with_settings(request.read_options, request.settings)
    return LeaveOutRequest(
        recordings=read_recordings(replace(request, read_options=options), observer),
        settings=_of_one_member(request.settings),
        folder=request.folder,
        paths=(request.source, *request.more_sources),
        read_options=options,
        kernels=request.kernels,
        overwrite=request.overwrite,
        resume_if_exists=request.resume_if_exists,
        command=request.command,
        **asked,
    )


def _data_of(own: RunFolder) -> Path | None:
    """Where a session's recording is; counts of an array are in its folder, and stay there."""
    stored, path = own.path / "recording.h5", own.read_record().data_path
    if stored.is_file():
        return stored.resolve()
    return None if path is None else Path(path)


def settings_of_run(run: RunFolder, overrides: tuple[str, ...]) -> Settings:
    """Of one model as the run's best one was trained, changed where asked for."""
    from lfads_torch.config.check import replace_values
    from lfads_torch.config.read import read_settings
    from lfads_torch.config.tree import flatten
    from lfads_torch.workflows.searched_values import values_of_best
    from lfads_torch.workflows.stored import read_settings_of

    record = run.read_record()
    if record.status != "finished":
        raise RunError(
            f"{run.path}: the run is {record.status}; it is compared with, so it must be trained. "
            f"Go on with `lfads resume {run.path}` first."
        )
    given = [text.partition("=")[0].strip() for text in overrides]
    fixed = ("split.", "chop.", "search.", "data.")
    divided = [name for name in given if name.startswith(fixed)]
    if divided:
        raise SettingsError(
            f"{divided[0]} says how recordings are read, divided or searched, and of a run these "
            "stay as they are. Give the files instead of the run to read and divide them anew."
        )
    settings = values_of_best(read_settings_of(run), record.search)
    read: Mapping[str, object] = flatten(read_settings(run.settings_path, overrides=overrides))
    return _of_one_member(replace_values(settings, {name: read[name] for name in given}))


def _of_one_member(settings: Settings) -> Settings:
    return replace(settings, run=replace(settings.run, n_seeds=1))
