"""`lfads search`: from a data file to a tuned model with rates, scores and a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.config.space import SpaceChoice
from lfads_torch.workflows.fit_file import FitRequest, train_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import FitOptions, Observer

__all__ = ["SearchRequest", "search_file"]


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What a fit needs too, and what to search; `list_path`: every member's values instead."""

    fit: FitRequest
    choice: SpaceChoice = field(default_factory=SpaceChoice)
    list_path: Path | None = None


def search_file(request: SearchRequest, observer: Observer) -> RunFolder:
    """Search and finish. With `resume_if_exists` a run that is there goes on, or is repaired.

    The run's status is `finished`, or `interrupted` after a signal, when nothing but its
    checkpoint is written.
    """
    from lfads_torch.workflows.search import search_run

    settings, folder = request.fit.settings, request.fit.folder

    def train(recordings: Sequence[Recording], options: FitOptions) -> RunFolder:
        values = _values(request.list_path, settings, recordings)
        return search_run(
            recordings,
            settings,
            folder,
            choice=request.choice,
            values=values,
            options=options,
            observer=observer,
        )

    return train_file(request.fit, observer, train=train)


def _values(
    path: Path | None, settings: Settings, recordings: Sequence[Recording]
) -> tuple[dict[str, float], ...]:
    from lfads_torch.config.member_list import read_list
    from lfads_torch.config.resolve import resolve
    from lfads_torch.workflows.sessions.sizes import joint_sizes

    if path is None:
        return ()
    sizes = joint_sizes(recordings, settings)
    return read_list(path, resolve(settings, sizes).settings, sizes)
