"""Run folders that belong to an object: gone with it, packed, copied whole or not at all."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfads_torch.errors import OutputError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.kept_run import TemporaryFolder, copy_run, pack_run, unpack_run

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "lock.json").write_text("held")
    (folder / ".rates.nc.12-0a0a0a0a.part.nc").write_text("half")
    (folder / "checkpoints" / "best.safetensors").write_bytes(bytes(range(256)))
    return RunFolder(folder)


def test_a_temporary_folder_goes_with_its_object() -> None:
    kept = TemporaryFolder()
    path = kept.path
    (path / "file").write_text("x")
    assert path.is_dir()
    del kept
    gc.collect()
    assert not path.exists()


PROGRAM = """
import os
from lfads_torch.workflows.kept_run import TemporaryFolder
kept = TemporaryFolder()
(kept.path / "file").write_text("x")
if hasattr(os, "fork"):
    child = os.fork()
    if child == 0:
        raise SystemExit  # with the parent's objects, which it must not clean up
    os.waitpid(child, 0)
print(kept.path, (kept.path / "file").exists())
"""


def test_it_goes_with_the_process_that_made_it_and_no_other(tmp_path: Path) -> None:
    environment = os.environ | {name: str(tmp_path) for name in ("TMPDIR", "TEMP", "TMP")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    path, was_there = done.stdout.split()
    assert Path(path).parent == tmp_path
    assert was_there == "True"
    assert list(tmp_path.iterdir()) == []


def test_a_packed_run_unpacks_to_the_same_files(run: RunFolder, tmp_path: Path) -> None:
    files = pack_run(run)
    assert sorted(files) == ["checkpoints/best.safetensors", "run.json"]
    again = unpack_run(files, tmp_path / "again")
    assert pack_run(again) == files


def test_a_copy_has_the_files_but_not_the_lock(run: RunFolder, tmp_path: Path) -> None:
    target = copy_run(run, tmp_path / "new" / "copy")
    assert pack_run(RunFolder(target)) == pack_run(run)
    assert sorted(path.name for path in target.iterdir()) == ["checkpoints", "run.json"]
    assert (run.path / "lock.json").read_text() == "held"


def test_a_copy_that_fails_leaves_nothing(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full_disk)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="copy: cannot be written, there is no space left"):
        copy_run(run, tmp_path / "copy")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_there_is_never_replaced(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is something already"):
        copy_run(run, run.path)
    taken = tmp_path / "file"
    taken.write_text("mine")
    with pytest.raises(OutputError, match="there is something already"):
        copy_run(run, taken)
    assert taken.read_text() == "mine"
