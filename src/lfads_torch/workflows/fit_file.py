"""`lfads fit`: from a data file to a run with rates, scores and a page; or on with one.

`lfads search` trains in another way and is otherwise the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import LfadsError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED
from lfads_torch.workflows.choose_split import SplitChoice, choices_of, with_chosen_split
from lfads_torch.workflows.finish import finish_run, missing_results
from lfads_torch.workflows.read_options import told_of_reading, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.fit import FitOptions, Observer
    from lfads_torch.workflows.warm_start import WarmStart

__all__ = ["FitRequest", "fit_file", "go_on", "read_recordings", "train_file"]


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """What to train on, how, and where to."""

    source: Path
    folder: Path
    settings: Settings
    more_sources: tuple[Path, ...] = ()  # further recordings: sessions of one model
    session_names: tuple[str, ...] = ()  # one for each recording; none: the recordings' own
    read_options: ReadOptions | None = None
    split: SplitChoice = field(default_factory=SplitChoice)
    kernels: str = "auto"
    overwrite: bool = False
    resume_if_exists: bool = False
    start_from: WarmStart | None = None
    command: tuple[str, ...] = ()


def fit_file(request: FitRequest, observer: Observer) -> RunFolder:
    """Train and finish. With `resume_if_exists` a run that is there goes on, or is repaired.

    The run's status is `finished`, or `interrupted` after a signal, when nothing but its
    checkpoint is written.
    """
    from lfads_torch.workflows.fit import fit_run

    def train(recordings: Sequence[Recording], options: FitOptions) -> RunFolder:
        settings, folder = request.settings, request.folder
        return fit_run(recordings, settings, folder, options=options, observer=observer)

    return train_file(request, observer, train=train)


def train_file(
    request: FitRequest,
    observer: Observer,
    *,
    train: Callable[[Sequence[Recording], FitOptions], RunFolder],
) -> RunFolder:
    """As `fit_file`, where `train` makes the run of recordings that carry their splits."""
    from lfads_torch.workflows.device import choose_device
    from lfads_torch.workflows.fit import FitOptions

    read_options = with_settings(request.read_options, request.settings)
    options = FitOptions(
        data_path=None if request.more_sources else request.source,
        session_paths=(request.source, *request.more_sources) if request.more_sources else (),
        read_options=read_options,
        kernels=request.kernels,
        overwrite=request.overwrite,
        command=request.command,
        start_from=request.start_from,
    )
    if request.resume_if_exists and (run := _run_to_go_on_with(request.folder)) is not None:
        _say_what_differs(run, request, observer)
        return go_on(run, options=options, observer=observer)
    recordings = read_recordings(replace(request, read_options=read_options), observer)
    # A device that is not there is refused before a folder is made.
    choose_device(request.settings.run)
    run = train(recordings, options)
    if run.read_record().status != FINISHED:
        return run
    return finish_run(run, recording=recordings, anew=True, observer=observer)


def read_recordings(request: FitRequest, observer: Observer) -> tuple[Recording, ...]:
    """The recordings with the names and splits that are asked for."""
    from lfads_torch.data.formats.choose import read_recording

    sources, names = (request.source, *request.more_sources), request.session_names
    if names and len(names) != len(sources):
        raise SettingsError(
            f"session_names (--session-names) gives {len(names)} names ({', '.join(names)}) for "
            f"{len(sources)} recordings; give one for each, in their order."
        )
    found = []
    choices = choices_of(request.split, len(sources))
    for n, (source, choice) in enumerate(zip(sources, choices, strict=True)):
        recording = read_recording(source, options=request.read_options)
        if names:
            recording = replace(recording, session=names[n])
        say = _named(observer, recording.session) if len(sources) > 1 else observer.message
        if (told := told_of_reading(recording)) is not None:
            say(told)
        found.append(with_chosen_split(recording, choice, request.settings.split, say))
    return tuple(found)


def _named(observer: Observer, session: str) -> Callable[[str], None]:
    """What is said of one recording among several."""
    return lambda text: observer.message(f"{session}: {text}")


def go_on(run: RunFolder, *, options: FitOptions, observer: Observer) -> RunFolder:
    """Resume a run and finish it; one that has finished only gets what it lacks."""
    from lfads_torch.workflows.fit import resume_run
    from lfads_torch.workflows.resume_changes import require_unchanged

    if run.read_record().status == FINISHED:
        require_unchanged(run, options)
        missing = missing_results(run)
        reason = run.read_record().results_error
        lacks = f"; it lacks {', '.join(missing)}" if missing else ""
        lacks += f"; last time they could not be written: {reason}" if reason else ""
        observer.message(f"{run.path} has finished training already{lacks}")
        return finish_run(
            run, data_path=options.session_paths or options.data_path, observer=observer
        )
    run = resume_run(run.path, options=options, observer=observer)
    if run.read_record().status != FINISHED:
        return run
    return finish_run(
        run, data_path=options.session_paths or options.data_path, anew=True, observer=observer
    )


def _run_to_go_on_with(folder: Path) -> RunFolder | None:
    """The run in the folder; None where there is none, or one stopped before it was described."""
    if not RunFolder.is_run(folder):
        return None
    try:
        run = RunFolder.open(folder, needs=("settings.yaml",))
        if not run.read_record().sessions:
            run.require("split.json", "model.json")
        return run
    except LfadsError:
        run = RunFolder.open(folder)
        if run.last_checkpoint_path.is_file():
            raise
        return None


def _say_what_differs(run: RunFolder, request: FitRequest, observer: Observer) -> None:
    before = run.read_record().command
    if request.command and before and before[1:] != request.command[1:]:
        observer.message(
            f"{run.path} was begun by another command (run.json has it); its stored settings and "
            "split hold, not those of this command"
        )
