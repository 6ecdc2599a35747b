from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lfads_torch.atomic import (
    atomic_path,
    require_writable_folder,
    write_text,
)
from lfads_torch.errors import DataError, OutputError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_file_appears_under_its_name_and_nothing_else(tmp_path):
    target = tmp_path / "scores.json"
    with atomic_path(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent == tmp_path
        assert part.suffix == ".json"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["scores.json"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), DataError("no")])
def test_an_exception_leaves_the_old_file_and_passes(tmp_path, error):
    target = tmp_path / "rates.nc"
    target.write_text("old")

    def write():
        with atomic_path(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["rates.nc"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "failed"),
        (errno.ENOTSUP, os.strerror(errno.ENOTSUP)),
    ],
)
def test_a_failed_write_tells_path_reason_and_remedy(tmp_path, number, words):
    target = tmp_path / "rates.nc"
    target.write_text("old")

    def write():
        with atomic_path(target) as part:
            part.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputError) as caught:
        write()
    message = str(caught.value)
    assert str(target) in message
    assert words in message
    assert any(word in message for word in ("Choose", "Free", "write to"))
    assert target.read_text() == "old"
    assert names(tmp_path) == ["rates.nc"]


def test_a_failed_rename_is_told_and_leaves_the_old_file(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    target = tmp_path / "a.txt"
    target.write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="no space left"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_number_is_found_in_what_other_libraries_say(tmp_path):
    class SafetensorError(Exception):
        pass

    for error in (
        SafetensorError("I/O error: No space left on device (os error 28)"),
        RuntimeError("Can't decrement id ref count (file write failed, errno = 28, ...)"),
    ):
        with pytest.raises(OutputError, match="no space left"), atomic_path(tmp_path / "a"):
            raise error
    with pytest.raises(RuntimeError, match="mine"), atomic_path(tmp_path / "a"):
        raise RuntimeError("mine")


def test_a_failure_to_read_an_input_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "input").read_bytes()


def test_paths_that_cannot_be_files(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    cases = {
        tmp_path / "missing" / "a": "its folder does not exist",
        tmp_path / "file" / "a": "is a file, not a folder",
        tmp_path / "folder": "a folder of that name exists",
    }
    for target, words in cases.items():
        with pytest.raises(OutputError, match=words), atomic_path(target):
            pytest.fail("the body must not run")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(os.name == "nt", reason="devices are files on POSIX systems only")
def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(OutputError, match="device"):
        write_text("/dev/null", "x")
    assert not Path("/dev/null").is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full(tmp_path):
    with (
        pytest.raises(OutputError, match="no space left"),
        atomic_path(tmp_path / "a"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert names(tmp_path) == []


def test_a_link_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "rates.nc"
    target.write_text("old")
    link = tmp_path / "rates.nc"
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("no symbolic links here")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    script = (
        "import sys, time\n"
        "from lfads_torch.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as part:\n"
        "    part.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"
    process.kill()
    process.wait()
    process.stdout.close()
    assert process.returncode in (-getattr(signal, "SIGKILL", 9), 1)
    assert target.read_text() == "old"
    (leftover,) = (tmp_path / name for name in names(tmp_path) if name != "a.json")

    write_text(target, "new")
    assert leftover.exists(), "a young leftover may belong to a process on another machine"
    day_ago = time.time() - 100_000
    os.utime(leftover, (day_ago, day_ago))
    write_text(target, "newer")
    assert names(tmp_path) == ["a.json"]
    assert target.read_text() == "newer"


def test_writable_folders(tmp_path):
    assert require_writable_folder(tmp_path / "a" / "b", create=True).is_dir()
    assert names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="does not exist"):
        require_writable_folder(tmp_path / "missing")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        require_writable_folder(tmp_path / "file" / "run", create=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        require_writable_folder(tmp_path / "file", create=True)


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OutputError, match="no permission"):
        require_writable_folder(tmp_path)
