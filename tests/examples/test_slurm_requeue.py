"""The cluster script: it passes SIGTERM on, and goes back into the queue only when it must."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm_requeue.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# It waits for SIGTERM, or ends by itself at once.
FIT = """#!/usr/bin/env bash
echo "$@" > arguments
trap 'kill $pause; exit {on_term}' TERM
sleep {seconds} & pause=$!
touch started
wait $pause
exit {at_end}
"""


def programs(folder: Path, **values: int) -> dict[str, str]:
    (folder / "lfads").write_text(FIT.format(**values))
    (folder / "scontrol").write_text('#!/usr/bin/env bash\necho "$@" > requeued\n')
    for name in ("lfads", "scontrol"):
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}


def outcome(folder: Path, *, stopped: bool, **values: int) -> tuple[int, bool]:
    """Exit code of the script, and whether it asked to be queued again."""
    process = subprocess.Popen(
        ["bash", str(SCRIPT), "maze.h5", "maze_run"], env=programs(folder, **values), cwd=folder
    )
    deadline = time.monotonic() + 20
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if stopped:
        process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=20)
    assert (folder / "arguments").read_text() == "fit maze.h5 --out maze_run --resume-if-exists\n"
    return code, (folder / "requeued").exists()


def test_a_stopped_fit_is_queued_again(tmp_path: Path) -> None:
    found = outcome(tmp_path, stopped=True, on_term=143, seconds=30, at_end=0)
    assert found == (0, True)
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"


def test_a_fit_that_ends_well_or_fails_is_not(tmp_path: Path) -> None:
    for code in (0, 1):
        (tmp_path / "started").unlink(missing_ok=True)
        found = outcome(tmp_path, stopped=False, on_term=143, seconds=0, at_end=code)
        assert found == (code, False)


def test_a_fit_that_fails_while_it_stops_is_not(tmp_path: Path) -> None:
    assert outcome(tmp_path, stopped=True, on_term=1, seconds=30, at_end=0) == (1, False)
