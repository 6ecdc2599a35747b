from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lfads_torch.errors import OutputError, RunError
from lfads_torch.outputs import run_lock
from lfads_torch.outputs.run_folder import RunFolder, discard_runs, list_runs
from lfads_torch.outputs.run_lock import living_holder
from lfads_torch.outputs.run_record import RunRecord, library_versions
from lfads_torch.outputs.run_status import status

RECORD = RunRecord(
    seed=3,
    n_members=2,
    command=("lfads", "fit", "maze.h5"),
    data_path="maze.h5",
    sizes={"units": 33},
    beta={"inputs": [0.1, float("nan")]},
    versions={"numpy": "2"},
)


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", RECORD)


def finish(run):
    run.last_checkpoint_path.write_bytes(b"state")
    run.set_status("finished")


def test_a_record_comes_back(run):
    record = RunFolder.open(run.path).read_record()
    assert (record.seed, record.command, record.sizes) == (3, RECORD.command, {"units": 33})
    assert record.beta == {"inputs": [0.1, None]}
    assert record.status == "running"
    assert record.start
    assert record.end is None
    content = json.loads(run.record_path.read_text())
    assert (content["format"], content["format_version"]) == ("lfads-torch run", 1)


def test_status_words(run):
    run.set_status("failed", reason="the loss broke")
    record = run.read_record()
    assert (record.status, record.reason, bool(record.end)) == ("failed", "the loss broke", True)
    run.set_status("running")
    record = run.read_record()
    assert (record.status, record.reason, record.end) == ("running", None, None)


def test_unknown_keys_of_the_same_version_are_passed_over(run):
    content = json.loads(run.record_path.read_text())
    run.record_path.write_text(json.dumps({**content, "later": 1}))
    assert run.read_record().seed == 3


def test_texts_and_json_files(run):
    run.write_settings("seed: 3\n")
    run.write_split({"format": "lfads-torch split", "trials": {"train": np.arange(3)}})
    run.write_check({"findings": []})
    run.write_scores({"co_smoothing": np.float64("nan")})
    assert run.read_settings() == "seed: 3\n"
    assert run.read_split()["trials"] == {"train": [0, 1, 2]}
    assert run.read_check() == {"findings": []}
    assert run.read_scores() == {"co_smoothing": None}


def test_a_folder_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"not empty and is not a run.*thesis\.docx"):
            RunFolder.create(tmp_path, RECORD, overwrite=overwrite)
    with pytest.raises(OutputError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.docx", RECORD)
    with pytest.raises(OutputError, match="not a folder"):
        RunFolder.create(tmp_path / "thesis.docx" / "run", RECORD)
    assert os.listdir(tmp_path) == ["thesis.docx"]


def test_a_run_with_results_is_kept_unless_overwritten(run):
    finish(run)
    run.metrics.append({"epoch": 0, "step": 1})
    (run.path / "notes.txt").write_text("the user's own")
    with pytest.raises(RunError, match=r"holds a run already \(status: finished\).*--overwrite"):
        RunFolder.create(run.path, RECORD)
    assert run.last_checkpoint_path.exists()
    again = RunFolder.create(run.path, RECORD, overwrite=True)
    assert again.read_record().status == "running"
    assert not again.last_checkpoint_path.exists()
    assert again.metrics.read() == []
    assert (run.path / "notes.txt").read_text() == "the user's own"


def test_a_run_stopped_before_any_result_is_begun_anew(run):
    run.write_settings("seed: 3\n")
    again = RunFolder.create(run.path, RunRecord(seed=4))
    assert again.read_record().seed == 4
    assert not again.settings_path.exists()


def test_what_a_killed_start_leaves_does_not_block(tmp_path):
    (tmp_path / ".run.json.123-00000000.part.json").write_text("{")
    assert RunFolder.create(tmp_path, RECORD).read_record().seed == 3


def test_messages_of_open(tmp_path, run):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no such folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(RunError, match="not a file in it"):
        RunFolder.open(run.record_path)
    with pytest.raises(RunError, match=r"has no run\.json\. Name a folder"):
        RunFolder.open(tmp_path / "empty")
    with pytest.raises(RunError, match=r"It holds the runs run:"):
        RunFolder.open(tmp_path)
    with pytest.raises(
        RunError, match=r"incomplete, it lacks settings\.yaml \(status: interrupted, the .*\)"
    ):
        RunFolder.open(run.path, needs=["settings.yaml", "run.json"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "else"}, "format is 'else'"),
        ({"format_version": 2}, "Update lfads-torch"),
        ({"status": "asleep"}, "status is 'asleep'"),
        ({"command": None}, "cannot be read"),
    ],
)
def test_damaged_and_newer_records(run, change, words):
    content = json.loads(run.record_path.read_text())
    run.record_path.write_text(json.dumps({**content, **change}))
    with pytest.raises(RunError, match=words):
        RunFolder.open(run.path)


@pytest.mark.parametrize("text", ["{", "", "[1]", "\xff"])
def test_a_torn_record(run, text):
    run.record_path.write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match="restore it"):
        RunFolder.open(run.path)


def test_list_runs(tmp_path, run):
    RunFolder.create(tmp_path / "another", RECORD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    assert [r.path.name for r in list_runs(tmp_path)] == ["another", "run"]
    assert list_runs(tmp_path / "none") == []


def test_can_resume(run):
    assert not run.can_resume
    run.last_checkpoint_path.write_bytes(b"state")
    assert run.can_resume
    run.set_status("finished")
    assert not run.can_resume


def test_versions_are_read_without_importing():
    assert library_versions()["numpy"] == np.__version__
    code = (
        "import sys\n"
        "from lfads_torch.outputs.run_record import library_versions\n"
        "from lfads_torch.outputs import run_folder, run_status, metrics_log\n"
        "assert 'torch' in library_versions()\n"
        "heavy = {'torch', 'numpy', 'scipy', 'h5py', 'xarray', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the lock ---


def write_lock(run, **changes):
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "token": "other"}
    holder |= {"process_space": run_lock._process_space(), **changes}
    run.lock_path.write_text(json.dumps(holder))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_two_processes_cannot_train_into_one_folder(run):
    with run.lock():
        holder = run.living_process()
        assert holder is not None
        assert holder.pid == os.getpid()
        with pytest.raises(RunError, match=f"process {os.getpid()} on"), run.lock():
            pytest.fail("the lock was given twice")
        with pytest.raises(RunError, match="is training into this folder"):
            RunFolder.create(run.path, RECORD, overwrite=True)
    assert run.living_process() is None
    assert not run.lock_path.exists()
    with run.lock():
        pass


def test_the_lock_is_released_on_an_exception(run):
    with pytest.raises(KeyboardInterrupt), run.lock():
        raise KeyboardInterrupt
    assert not run.lock_path.exists()


def test_another_process_holds_the_lock_until_it_is_killed(run):
    code = (
        "import sys, time\n"
        "from lfads_torch.outputs.run_folder import RunFolder\n"
        "with RunFolder.open(sys.argv[1]).lock():\n"
        "    print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(RunError, match=f"process {process.pid}"), run.lock():
        pytest.fail("the lock was given twice")
    process.kill()
    process.wait()
    process.stdout.close()
    assert run.lock_path.exists()
    with run.lock():
        assert living_holder(run.lock_path).pid == os.getpid()
    assert not run.lock_path.exists()


def test_a_lock_of_a_dead_process_is_stale(run):
    write_lock(run, pid=dead_process())
    assert run.living_process() is None
    with run.lock():
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_a_later_process_of_the_same_number_is_not_the_holder(run):
    write_lock(run, process_start="long ago")
    assert run.living_process() is None
    write_lock(run, process_start=run_lock._start_of(os.getpid()))
    assert run.living_process() is not None


@pytest.mark.parametrize("place", [{"host": "node7"}, {"process_space": "pid:[1]"}])
def test_a_lock_from_elsewhere_is_stale_when_it_is_no_longer_touched(run, place):
    write_lock(run, pid=dead_process(), **place)
    assert run.living_process() is not None
    with pytest.raises(RunError), run.lock():
        pytest.fail("a fresh lock of another computer was taken")
    old = time.time() - 2 * run_lock.STALE_AFTER_S
    os.utime(run.lock_path, (old, old))
    assert run.living_process() is None
    with run.lock():
        pass


def test_an_unreadable_lock_holds_while_it_is_young(run):
    run.lock_path.write_text("{")
    with pytest.raises(RunError, match="another process"), run.lock():
        pytest.fail("an unreadable lock was taken")
    os.utime(run.lock_path, (0, 0))
    with run.lock():
        pass


def test_waiting_for_a_lock(run):
    write_lock(run)
    timer = threading.Timer(0.2, run.lock_path.unlink)
    timer.start()
    with run.lock(wait_s=10):
        assert run.lock_path.exists()
    timer.join()


def test_the_lock_is_kept_fresh(run, monkeypatch):
    monkeypatch.setattr(run_lock, "BEAT_S", 0.01)
    with run.lock():
        os.utime(run.lock_path, (0, 0))
        deadline = time.monotonic() + 10
        while run.lock_path.stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert run.lock_path.stat().st_mtime > 1


# --- status ---


def test_status_of_a_training_run(run):
    run.write_settings("training:\n  epochs: 10\n")
    scores = [[3.0, None], [1.0, 5.0], [2.0, 4.0]]
    for epoch, score in enumerate(scores):
        run.metrics.append({"epoch": epoch, "step": epoch, "seconds": 2.0, "valid_score": score})
    with run.lock():
        standing = status(run.path)
    assert standing["status"] == "running"
    assert standing["process"] == os.getpid()
    assert standing["lowest_score"] == [1.0, 4.0]
    assert standing["lowest_score_epoch"] == [1, 2]
    assert standing["score"] == [2.0, 4.0]
    assert standing["seconds_left"] == 14.0
    assert standing["training_seconds"] == 6.0
    json.dumps(standing, allow_nan=False)


def test_a_killed_run_is_reported_as_interrupted(run):
    run.last_checkpoint_path.write_bytes(b"state")
    standing = status(run.path)
    assert standing["status"] == "interrupted"
    assert standing["can_resume"]
    assert "without notice" in standing["reason"]
    assert standing["n_epochs"] == 0
    assert standing["seconds_left"] is None
    finish(run)
    assert status(run.path)["status"] == "finished"


def test_a_run_of_several_sessions_is_replaced_with_its_session_folders(tmp_path):
    run = RunFolder.create(tmp_path / "run", RECORD)
    own = RunFolder.create(run.path / "sessions/monday", RECORD)
    own.best_checkpoint_path.write_bytes(b"weights")
    run.metrics_path.write_text("{}\n")
    again = RunFolder.create(run.path, RECORD, overwrite=True)
    assert not own.best_checkpoint_path.exists()
    RunFolder.create(again.path / "sessions/monday", RECORD, overwrite=True)


def test_discarded_runs_keep_a_record_and_other_peoples_files(tmp_path):
    run = RunFolder.create(tmp_path / "run", RECORD)
    run.metrics_path.write_text("{}\n")
    (run.path / "notes.txt").write_text("mine")
    run.set_status("finished")
    discard_runs([run.path, tmp_path / "nothing"])
    assert run.read_record().status == "interrupted"
    assert not run.metrics_path.exists()
    assert (run.path / "notes.txt").read_text() == "mine"
    RunFolder.create(run.path, RECORD)  # nothing is lost, so that it is begun anew
