"""What goes wrong around a command: disks, interruptions, our own mistakes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, assert_one_message, options

from lfads_torch.errors import OutputError

QUICK = options(TINY)


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="permissions do not bind the superuser, and are others on Windows",
)
def test_an_unwritable_folder(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        done = lfads("fit", made.recording, "--out", tmp_path / "run", *QUICK)
    finally:
        tmp_path.chmod(0o700)
    assert done.code == 1
    assert "no permission" in done.err


def test_a_full_disk_after_training_can_be_repaired(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.errors import OutputError
    from lfads_torch.workflows import report

    def no_space(*arguments: object, **more: object) -> None:
        raise OutputError("report.html: cannot be written, there is no space left on the disk.")

    folder = Path(shutil.copytree(made.run, tmp_path / "run"))
    (folder / "report.html").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(report, "report_run", no_space)
        done = lfads("resume", folder)
        assert done.code == 1
        assert "no space left" in done.err
        assert (folder / "rates.nc").is_file()
    done = lfads("resume", folder)
    assert done.code == 0
    assert "has finished training already; it lacks report.html" in done.err
    assert (folder / "report.html").is_file()


def test_debugging_shows_where_an_error_came_from(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lfads("status", tmp_path)
    assert "Traceback" not in plain.err
    assert "Traceback" in lfads("--debug", "status", tmp_path).err
    monkeypatch.setenv("LFADS_DEBUG", "1")
    assert "Traceback" in lfads("status", tmp_path).err


def test_a_mistake_of_ours_names_the_file_with_its_traceback(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.workflows.sessions import infer

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("ours")

    folder = Path(shutil.copytree(made.run, tmp_path / "run"))
    monkeypatch.setattr(infer, "inferred_sessions", broken)
    done = lfads("infer", folder, "--out", tmp_path / "r.nc")
    assert done.code == 1
    assert_one_message(done.err)
    assert "failed unexpectedly (ZeroDivisionError: ours)" in done.err
    assert str(folder / "log.txt") in done.err
    assert "raise ZeroDivisionError" in (folder / "log.txt").read_text()


def test_a_mistake_of_ours_without_a_run_goes_to_a_file(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.outputs import inspect

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(inspect, "describe", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = lfads("inspect", tmp_path)
    assert done.code == 1
    (written,) = tmp_path.iterdir()
    assert str(written) in done.err
    assert "ZeroDivisionError" in written.read_text()


def test_control_c_and_memory(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.outputs import inspect

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    def full(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inspect, "describe", interrupted)
    assert lfads("inspect", tmp_path).code == 130
    monkeypatch.setattr(inspect, "describe", full)
    done = lfads("inspect", tmp_path)
    assert done.code == 1
    assert "memory ran out" in done.err


def test_status_and_resume_tell_what_a_finished_run_lacks(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise OutputError("rates.nc: the disk is full")

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("lfads_torch.workflows.infer.infer_to_file", fail)
        done = lfads("fit", made.recording, "--out", run, *QUICK)
    assert done.code == 1
    assert "training is finished and stored" in done.err
    told = lfads("status", run).out
    assert "rates.nc, scores.json, report.html" in told
    assert "results were not written: rates.nc: the disk is full" in told
    assert f"lfads report {run}" in told
    again = lfads("resume", run)
    assert again.code == 0, again.err
    assert "it lacks rates.nc" in again.err
    assert "the disk is full" in again.err
    assert "lfads report" not in lfads("status", run).out
