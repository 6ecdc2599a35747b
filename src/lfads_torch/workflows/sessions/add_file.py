"""`lfads add-session`: from a run and a data file to a run of the new session, with results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.outputs.run_record import FINISHED
from lfads_torch.workflows.choose_split import SplitChoice, choices_of, with_chosen_split
from lfads_torch.workflows.finish import finish_run
from lfads_torch.workflows.fit import FitOptions, Observer
from lfads_torch.workflows.sessions.add import AddOptions, add_session, settings_to_add_with

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["AddRequest", "add_file"]


@dataclass(frozen=True, kw_only=True)
class AddRequest:
    """The new session, and how it is trained."""

    source: Path
    folder: Path
    overrides: tuple[str, ...] = ()
    n_trials: int | None = None
    member: int | None = None
    read_options: ReadOptions | None = None
    split: SplitChoice = field(default_factory=SplitChoice)
    overwrite: bool = False
    command: tuple[str, ...] = ()


def add_file(run: RunFolder, request: AddRequest, observer: Observer) -> RunFolder:
    """Train, infer, evaluate; the run is finished, or interrupted after a signal."""
    from lfads_torch.data.formats.choose import read_recording
    from lfads_torch.workflows.read_options import told_of_reading

    asked = AddOptions(
        overrides=request.overrides, n_trials=request.n_trials, member=request.member
    )
    settings = settings_to_add_with(run, asked)
    read_options = _read_options(request)
    recording = read_recording(request.source, options=read_options)
    if (told := told_of_reading(recording)) is not None:
        observer.message(told)
    (choice,) = choices_of(request.split, 1)
    recording = with_chosen_split(recording, choice, settings.split, observer.message)
    options = FitOptions(
        data_path=request.source,
        read_options=read_options,
        overwrite=request.overwrite,
        command=request.command,
    )
    added = add_session(
        run, recording, request.folder, asked=asked, options=options, observer=observer
    )
    if added.read_record().status != FINISHED:
        return added
    return finish_run(added, anew=True, observer=observer)


def _read_options(request: AddRequest) -> ReadOptions | None:
    """With what the overrides themselves say; how the run's own recording was read is its own."""
    from lfads_torch.config.read import read_settings
    from lfads_torch.workflows.read_options import with_settings

    named = tuple(
        text for text in request.overrides
        if text.strip().startswith(("chop.", "data.", "run.memory_gb"))
    )  # fmt: skip
    return with_settings(request.read_options, read_settings(None, "small", named))
