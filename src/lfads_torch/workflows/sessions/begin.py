"""What training begins with, where not at random: sessions aligned, or another run's weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfads_torch.atomic import write_text
from lfads_torch.workflows.assemble import Start

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import Observer

__all__ = ["ALIGNMENT", "start_of"]

ALIGNMENT = "alignment.json"


def start_of(
    run: RunFolder, recordings: Sequence[Recording], settings: Settings, watcher: Observer
) -> Start | None:
    """The same whenever it is asked for; what the alignment found is written into the folder."""
    from lfads_torch.workflows.sessions.starts import align
    from lfads_torch.workflows.warm_start import given_weights

    if run.read_record().added_to:
        from lfads_torch.workflows.sessions.add import start_of_added

        return start_of_added(run)
    given = given_weights(run)
    if not settings.sessions.readin_size or settings.sessions.initialisation == "random":
        return Start(given=given) if given else None
    alignment = align(recordings, settings)
    path = run.path / ALIGNMENT
    if not path.is_file():
        content = alignment.as_json()
        write_text(path, json.dumps(content, indent=1))
        for text in _told(content):
            watcher.message(text)
    return Start(alignment=alignment, given=given)


def _told(content: dict[str, object]) -> list[str]:
    sessions = content["sessions"]
    assert isinstance(sessions, list)  # as written above
    listed = ", ".join(f"{each['session']} {each['variance_explained']:.2f}" for each in sessions)
    note = f"{content['note']}; " if content["note"] else ""
    return [
        f"{note}share of the shared components that each session's units explain, held out: "
        f"{listed}"
    ]
