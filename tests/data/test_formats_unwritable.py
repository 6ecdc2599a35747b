"""Where a recording can't be written, the message says so and nothing half-written stays."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, OutputError

GOOD = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("make", "target", "message"),
    [
        (lambda folder: None, "nowhere/a.h5", "its folder does not exist. .* make the folder"),
        (lambda folder: (folder / "file").touch(), "file/a.h5", "a part of the path is a file"),
        (lambda folder: (folder / "a.h5").mkdir(), "a.h5", "a folder of that name exists"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, make, target, message):
    make(tmp_path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OutputError, match=message):
        write_recording(recording_from_arrays(GOOD, bin_width_s=0.01), tmp_path / target)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError, match=r"no permission to write there.*a folder of your own"):
        write_recording(recording_from_arrays(GOOD, bin_width_s=0.01), tmp_path / "a.h5")
    assert os.listdir(tmp_path) == []


def test_values_that_no_file_can_hold_are_refused_before_writing(tmp_path):
    recording = recording_from_arrays(GOOD, bin_width_s=0.01)
    for wrong, message in (
        (replace(recording, extra={"when": np.array(["2020-01-01"], dtype="M8[D]")}), "can't hold"),
        (replace(recording, provenance={"who": object()}), "holds a object"),
    ):
        with pytest.raises(DataError, match=message):
            write_recording(wrong, tmp_path / "a.h5")
    assert os.listdir(tmp_path) == []


FULL_DISK = """
import sys, numpy as np, resource, signal
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import OutputError
import h5py
counts = np.random.default_rng(0).integers(0, 255, (33, 33, 33)).astype(np.uint8)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_recording(recording_from_arrays(counts, bin_width_s=0.01), sys.argv[1])
except OutputError as error:
    sys.stderr.write(str(error))
    sys.exit(5)
"""


def test_a_file_system_that_takes_no_more_bytes(tmp_path):
    """The real thing: the kernel refuses to let the file grow, as on a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.h5")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 5, done.stderr
    assert "a.h5: cannot be written, the file grew larger than" in done.stderr
    assert os.listdir(tmp_path) == []
