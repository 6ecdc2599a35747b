from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from lfads_torch.errors import OutputError, RunError
from lfads_torch.outputs import metrics_log
from lfads_torch.outputs.metrics_log import MetricsLog


@pytest.fixture
def log(tmp_path):
    return MetricsLog(tmp_path / "metrics.jsonl")


def row(epoch, loss):
    return {"epoch": epoch, "step": 3 * epoch, "seconds": 0.5, "loss": loss}


def test_rows_come_back_as_they_were(log):
    assert log.read() == []
    log.append(row(0, [1.5, 2.5]))
    log.append(row(1, [1.0, 2.0]))
    assert log.read() == [row(0, [1.5, 2.5]), row(1, [1.0, 2.0])]


def test_non_finite_numbers_are_null_and_arrays_are_lists(log):
    log.append(row(np.int64(0), np.array([1.0, np.nan, -np.inf], dtype=np.float32)))
    line = log.path.read_text()
    assert "NaN" not in line
    assert "Infinity" not in line
    assert json.loads(line)["loss"] == [1.0, None, None]
    np.testing.assert_array_equal(log.columns()["loss"], [[1.0, np.nan, np.nan]])


def test_columns(log):
    log.append({**row(0, [1.0, 2.0]), "note": "text"})
    log.append({**row(1, [3.0, None]), "valid_score": [5.0, 6.0]})
    columns = log.columns()
    np.testing.assert_array_equal(columns["epoch"], [0, 1])
    np.testing.assert_array_equal(columns["loss"], [[1, 2], [3, np.nan]])
    np.testing.assert_array_equal(columns["valid_score"], [[np.nan, np.nan], [5, 6]])
    assert "note" not in columns
    assert MetricsLog(log.path.with_name("none")).columns() == {}


@pytest.mark.parametrize("torn", [b'{"epoch": 2, "st', b"\xff", b"x" * 10_000])
def test_a_torn_last_line_is_passed_over_then_cut_off(log, torn):
    log.append(row(0, 1.0))
    log.append(row(1, 1.0))
    with log.path.open("ab") as file:
        file.write(torn)
    assert [r["epoch"] for r in log.read()] == [0, 1]
    log.append(row(2, 1.0))
    assert [r["epoch"] for r in log.read()] == [0, 1, 2]


def test_a_file_that_is_one_torn_line(log):
    log.path.write_bytes(b'{"epo')
    assert log.read() == []
    log.append(row(0, 1.0))
    assert log.read() == [row(0, 1.0)]


def test_truncate_after(log):
    log.truncate_after(3)
    assert not log.path.exists()
    for epoch in range(5):
        log.append(row(epoch, float(epoch)))
    with log.path.open("ab") as file:
        file.write(b'{"torn')
    log.truncate_after(2)
    assert [r["epoch"] for r in log.read()] == [0, 1, 2]
    log.append(row(3, 9.0))
    assert log.read()[-1]["loss"] == 9.0
    log.truncate_after(-1)
    assert log.read() == []


def test_a_broken_line_in_the_middle_is_named(log):
    log.path.write_text('{"epoch": 0}\nnonsense\n{"epoch": 2}\n')
    with pytest.raises(RunError, match="line 2: 'nonsense'"):
        log.read()
    log.path.write_text('{"step": 0}\n')
    with pytest.raises(RunError, match="line 1"):
        log.read()


def test_a_full_disk_adds_nothing(log, monkeypatch):
    def write_half(file, line):
        file.write(line[:5])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log.append(row(0, 1.0))
    before = log.path.read_bytes()
    monkeypatch.setattr(metrics_log, "_write_all", write_half)
    with pytest.raises(OutputError, match="no space left"):
        log.append(row(1, 1.0))
    assert log.path.read_bytes() == before


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(OutputError, match="folder does not exist"):
        MetricsLog(tmp_path / "none" / "metrics.jsonl").append(row(0, 1.0))
