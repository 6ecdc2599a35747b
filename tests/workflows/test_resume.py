"""Resume = never stopped, to the bit: after orderly stops, signals and kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from run_cases import Watcher, child, differences, recording, settings

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_status import status
from lfads_torch.training.arithmetic import ARITHMETIC
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run


def stop_after(*stops: int, by: signal.Signals = signal.SIGTERM) -> Watcher:
    """The process gets a signal in these epochs, as if from outside."""

    def after(report):
        if report.epoch in stops:
            signal.raise_signal(by)

    return Watcher(after)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return fit_run(recording(), settings("run.n_seeds=2"), folder)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was stopped after epoch 1; for copies."""
    return stopped_at(tmp_path_factory.mktemp("half") / "run", 1)


@pytest.fixture
def stopped(half, tmp_path) -> RunFolder:
    return RunFolder(shutil.copytree(half.path, tmp_path / "run"))


def stopped_at(folder, epoch: int, **given) -> RunFolder:
    return fit_run(
        recording(), settings("run.n_seeds=2"), folder, observer=stop_after(epoch), **given
    )


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_stopped_once_and_resumed(whole, tmp_path, epoch):
    run = stopped_at(tmp_path / "run", epoch)
    assert len(run.metrics.read()) == epoch + 1
    watcher = Watcher()
    run = resume_run(run.path, observer=watcher)
    assert f"resumed after epoch {epoch}" in watcher.said
    assert [report.epoch for report in watcher.reports] == list(range(epoch + 1, 6))
    assert differences(run, whole) == []


def test_stopped_after_every_epoch(whole, tmp_path):
    run = stopped_at(tmp_path / "run", 0)
    for epoch in range(1, 6):
        run = resume_run(run.path, observer=stop_after(epoch))
    assert run.read_record().status == "finished"
    assert differences(run, whole) == []


def test_the_checkpoint_interval_changes_nothing(whole, tmp_path):
    """With one checkpoint at the end, a crash after epoch 3 costs epochs and no bits."""

    def crash(report):
        if report.epoch == 3:
            raise RuntimeError("a bug, a power cut")

    rare = settings("run.n_seeds=2", "training.checkpoint_interval_s=3600")
    with pytest.raises(RuntimeError):
        fit_run(recording(), rare, tmp_path / "run", observer=Watcher(crash))
    assert len(RunFolder(tmp_path / "run").metrics.read()) == 4
    run = resume_run(tmp_path / "run")
    assert differences(run, whole) == []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_order_and_is_told(tmp_path, by):
    watcher = stop_after(2, by=by)
    run = fit_run(recording(), settings(), tmp_path / "run", observer=watcher)
    found = status(run.path)
    assert (found["status"], found["reason"], found["can_resume"]) == ("interrupted", by.name, True)
    assert (found["n_epochs"], found["process"]) == (3, None)
    assert any(by.name in text and "once more stops at once" in text for text in watcher.said)
    assert any(f"lfads resume {run.path}" in text for text in watcher.said)
    finished = resume_run(run.path)
    assert finished.read_record().reason is None


def test_a_second_ctrl_c_stops_at_once_and_costs_no_bits(whole, tmp_path):
    def twice(report):
        if report.epoch == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit_run(recording(), settings("run.n_seeds=2"), tmp_path / "run", observer=Watcher(twice))
    found = status(tmp_path / "run")
    assert (found["status"], found["can_resume"]) == ("interrupted", True)
    assert differences(resume_run(tmp_path / "run"), whole) == []


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param([signal.SIGKILL], id="one kill"),
        pytest.param(
            [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL],
            id="four in a row",
            marks=pytest.mark.slow,  # every process imports torch anew
        ),
    ],
)
def test_processes_that_are_killed_at_random_moments(tmp_path, signals):
    overrides = ("training.batch_size=2", f"training.epochs={8 + 4 * len(signals)}")
    folder, chance, ends = tmp_path / "run", random.Random(1), []
    for by in signals:
        process = child(folder, overrides)
        wait_for_epochs(folder, 2, process)
        time.sleep(chance.uniform(0.0, 0.05))
        os.kill(process.pid, by)
        _, errors = process.communicate(timeout=300)
        ends.append(process.returncode)
        found = status(folder)
        assert (found["status"], found["can_resume"]) == ("interrupted", True), errors.decode()
        assert found["reason"] == (
            "the process is gone without notice" if by == signal.SIGKILL else by.name
        )
    assert ends == [-by if by == signal.SIGKILL else 0 for by in signals]
    process = child(folder, overrides)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    run = fit_run(recording(), settings(*overrides), tmp_path / "whole")
    leftovers = [path.name for path in folder.rglob("*") if ".part" in path.name]
    assert [d for d in differences(RunFolder(folder), run) if d not in leftovers] == []
    assert not [name for name in leftovers if "safetensors" in name]


def wait_for_epochs(folder, n_more: int, process) -> None:
    metrics, deadline = folder / "metrics.jsonl", time.monotonic() + 120

    def n_epochs() -> int:
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    wanted = n_epochs() + n_more
    while n_epochs() < wanted:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_finished_run_stays_as_it_is(whole):
    files = [path for path in whole.path.rglob("*") if path.is_file()]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    watcher = Watcher()
    run = resume_run(whole.path, observer=watcher)
    assert watcher.said == [f"{run.path} is finished; it stays as it is"]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def from_file(tmp_path, *, after: int = 1) -> tuple[RunFolder, object]:
    path = tmp_path / "data.h5"
    write_recording(recording(), path)
    run = stopped_at(tmp_path / "run", after, options=FitOptions(data_path=path))
    return run, path


@pytest.mark.parametrize("change", ["a count", "a trial less", "the bin width"])
def test_changed_data_are_refused(tmp_path, change):
    run, path = from_file(tmp_path)
    original = recording()
    counts = original.counts.copy()
    counts[0, 0, 0] += 1
    other = {
        "a count": replace(original, counts=counts),
        "a trial less": original.take_trials(np.arange(16)),
        "the bin width": replace(original, bin_width_s=0.011),
    }[change]
    write_recording(other, path)
    before = run.last_checkpoint_path.read_bytes()
    with pytest.raises(RunError, match="fingerprint differs"):
        resume_run(run.path)
    assert run.last_checkpoint_path.read_bytes() == before
    assert status(run.path)["status"] == "interrupted"


def test_data_that_are_gone_are_named_and_may_be_elsewhere(whole, tmp_path):
    run, path = from_file(tmp_path)
    elsewhere = tmp_path / "renamed.h5"
    path.rename(elsewhere)
    with pytest.raises(RunError, match=r"data\.h5 is not there any more.*--data"):
        resume_run(run.path)
    resumed = resume_run(run.path, options=FitOptions(data_path=elsewhere))
    assert [d for d in differences(resumed, whole) if d != "recording.h5"] == []


def test_data_whose_session_is_their_file_name_may_be_renamed(tmp_path):
    """A plain array file has no session of its own, and weights are named after the session."""
    path = tmp_path / "first.npz"
    np.savez(path, spikes=recording().counts)
    options = ReadOptions(counts="spikes", bin_width_s=0.01)
    read = read_recording(path, options=options)
    given = FitOptions(data_path=path, read_options=options)
    run = fit_run(read, settings(), tmp_path / "run", options=given, observer=stop_after(1))
    path.rename(tmp_path / "second.npz")
    resumed = resume_run(run.path, options=FitOptions(data_path=tmp_path / "second.npz"))
    assert resumed.read_record().status == "finished"


def recorded(run: RunFolder, **values) -> None:
    run.write_record(replace(run.read_record(), **values))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"threads": 3}, "threads was 3, is 1"),
        ({"backend": "other"}, "backend"),
        ({"device": "cuda"}, "device was cuda, is cpu"),
        ({"versions": {"torch": "1.0"}}, "torch was 1.0"),
        ({"machine": "Plan9 mips"}, "machine was Plan9 mips"),
        ({"arithmetic": 0}, f"arithmetic of lfads-torch was 0, is {ARITHMETIC}"),
    ],
    ids=["threads", "backend", "device", "torch", "machine", "arithmetic"],
)
def test_what_would_change_the_numbers_is_refused(stopped, values, named):
    recorded(stopped, **values)
    with pytest.raises(RunError) as caught:
        resume_run(stopped.path, options=FitOptions(kernels="portable"))
    assert named in str(caught.value)
    assert "--allow-different-numbers" in str(caught.value)
    assert status(stopped.path)["status"] == "interrupted"


def test_another_arithmetic_may_be_allowed_and_is_stored(stopped):
    assert stopped.read_record().arithmetic == ARITHMETIC
    recorded(stopped, arithmetic=ARITHMETIC + 1)
    run = resume_run(stopped.path, options=FitOptions(allow_different_numbers=True))
    assert run.read_record().arithmetic == ARITHMETIC


def test_a_run_of_a_version_without_the_number_goes_on_and_it_is_said(stopped, whole):
    content = json.loads(stopped.record_path.read_text(encoding="utf-8"))
    del content["arithmetic"]
    stopped.record_path.write_text(json.dumps(content), encoding="utf-8")
    watcher = Watcher()
    run = resume_run(stopped.path, observer=watcher)
    assert any("did not store the number of its arithmetic" in text for text in watcher.said)
    assert differences(run, whole) == []


def test_threads_of_a_run_that_took_all_are_taken_again(tmp_path):
    torch.set_num_threads(2)
    try:
        run = fit_run(
            recording(),
            settings("run.threads=0", "training.epochs=2"),
            tmp_path / "run",
            observer=stop_after(0),
        )
        assert run.read_record().threads == 2
        torch.set_num_threads(1)
        assert resume_run(run.path).read_record().threads == 2
    finally:
        torch.set_num_threads(1)


def test_the_backend_of_the_run_is_taken_again(tmp_path):
    run = stopped_at(tmp_path / "run", 1, options=FitOptions(kernels="reference"))
    run = resume_run(run.path)
    assert run.read_record().backend == "reference"


def test_another_backend_must_be_allowed(tmp_path):
    run = stopped_at(tmp_path / "run", 1, options=FitOptions(kernels="reference"))
    options = FitOptions(kernels="portable")
    with pytest.raises(RunError, match="backend was reference, is portable"):
        resume_run(run.path, options=options)
    run = resume_run(run.path, options=replace(options, allow_different_numbers=True))
    assert run.read_record().backend == "portable"


def test_a_run_that_never_began_is_begun(tmp_path):
    """Killed after the description was stored and before the first checkpoint."""

    def crash(report):
        raise RuntimeError("gone")

    rare = settings("training.checkpoint_interval_s=3600")
    with pytest.raises(RuntimeError):
        fit_run(recording(), rare, tmp_path / "run", observer=Watcher(crash))
    assert not (tmp_path / "run" / "checkpoints" / "last.safetensors").exists()
    whole = fit_run(recording(), rare, tmp_path / "whole")
    assert differences(resume_run(tmp_path / "run"), whole) == []


def test_a_damaged_checkpoint_is_named_and_the_run_marked(stopped):
    path = stopped.last_checkpoint_path
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"last\.safetensors: no state can be read"):
        resume_run(stopped.path)
    assert status(stopped.path)["status"] == "failed"


def test_a_torn_row_of_metrics_is_written_again(stopped, whole):
    with stopped.metrics_path.open("ab") as file:
        file.write(b'{"epoch": 2, "step"')
    assert differences(resume_run(stopped.path), whole) == []


def test_rows_after_the_checkpoint_are_written_again(stopped, whole):
    stopped.metrics.append({"epoch": 2, "step": 6, "loss": [0.0, 0.0]})
    assert differences(resume_run(stopped.path), whole) == []
