"""`lfads add-session`: how the new file is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import Watcher
from session_cases import session, tiny_settings

from lfads_torch.data.formats.ours import write_recording
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import RunRecord
from lfads_torch.workflows.sessions import add_file as module
from lfads_torch.workflows.sessions.add_file import AddRequest, add_file


@pytest.mark.parametrize("read_by", ["trial", "memory"])
def test_settings_say_how_the_new_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_by: str
) -> None:
    path, seen = tmp_path / "sunday.h5", {}
    write_recording(session("sunday", 4, 9, seed=9), path)

    def added(run: RunFolder, recording: object, folder: Path, **given: object) -> RunFolder:
        seen.update(given, recording=recording)
        return RunFolder.create(folder, RunRecord())

    monkeypatch.setattr(module, "settings_to_add_with", lambda run, asked: tiny_settings())
    monkeypatch.setattr(module, "add_session", added)
    request = AddRequest(
        source=path,
        folder=tmp_path / "out",
        overrides=(f"data.read_by={read_by}", "run.memory_gb=2", "training.epochs=1"),
    )
    add_file(RunFolder(tmp_path / "run"), request, Watcher())
    assert (seen["recording"].in_file is not None) is (read_by == "trial")
    stored = seen["options"].read_options
    assert (stored.read_by, stored.memory_gb) == (read_by, 2.0)
