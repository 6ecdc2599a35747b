"""Stopped by signals, a fit says so by its exit code, and the same command goes on with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, options

SOURCE = Path(__file__).parents[2] / "src"
N_EPOCHS = 90

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


def n_rows(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stop_after(command: list[str], run: Path, n_epochs: int, number: int) -> tuple[int, str]:
    """Exit code and stderr of a process that gets a signal once that many epochs are on record."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lfads_torch", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while n_rows(run) < n_epochs and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    return process.returncode, err


def test_a_stopped_fit_goes_on_with_the_same_command(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ["fit", str(made.recording), "--out", str(run), "--resume-if-exists", *options(TINY)]
    command += ["--set", f"training.epochs={N_EPOCHS}", "--set", "training.patience=0"]

    code, err = stop_after(command, run, 3, signal.SIGTERM)
    assert code == 143, err
    assert f"lfads resume {run}" in err
    first = n_rows(run)
    assert 3 <= first < N_EPOCHS
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert not (run / "rates.nc").exists()
    assert not list(run.rglob("*.part*"))
    assert "interrupted (SIGTERM)" in lfads("status", run).out

    code, err = stop_after(command, run, first + 3, signal.SIGINT)
    assert code == 130, err
    assert f"resumed after epoch {first - 1}" in err
    second = n_rows(run)
    assert first + 3 <= second < N_EPOCHS

    code, err = stop_after(command, run, second + 3, signal.SIGKILL)
    assert code == -signal.SIGKILL, err
    assert "the process is gone" in lfads("status", run).out

    done = lfads(*command)
    assert done.code == 0, done.err
    assert "resumed after epoch" in done.err
    assert [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").open()] == list(
        range(N_EPOCHS)
    )
    assert (run / "report.html").is_file()

    before = (run / "rates.nc").stat().st_mtime_ns
    done = lfads(*command)
    assert done.code == 0, done.err
    assert f"{run} has finished training already" in done.err
    assert (run / "rates.nc").stat().st_mtime_ns == before
    (run / "scores.json").unlink()
    assert lfads(*command).code == 0
    assert (run / "scores.json").is_file()
    assert (run / "rates.nc").stat().st_mtime_ns == before


def test_sigterm_while_a_file_is_read_ends_in_good_order(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.outputs import inspect

    def ended(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(inspect, "describe", ended)
    assert lfads("inspect", tmp_path).code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_is_no_error(made: Made) -> None:
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        [sys.executable, "-m", "lfads_torch", "inspect", str(made.run)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


def test_a_run_stopped_before_it_was_described_begins_anew(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    record = json.loads((made.run / "run.json").read_text()) | {"status": "running"}
    (run / "run.json").write_text(json.dumps(record))
    command = ["fit", made.recording, "--out", run, "--resume-if-exists", *options(TINY)]
    done = lfads(*command, "--set", "training.epochs=2")
    assert done.code == 0, done.err
    assert n_rows(run) == 2


def test_resuming_with_another_command_says_whose_settings_hold(
    lfads: Lfads, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["lfads", "fit", "maze.h5", "--seed", "5"])
    done = lfads("fit", made.recording, "--out", made.run, "--resume-if-exists", "--seed", 5)
    assert done.code == 0, done.err
    assert "its stored settings and split hold, not those of this command" in done.err
    assert "has finished training already" in done.err
