"""`import lfads_torch` and `lfads --help` load nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
HEAVY = (
    "torch",
    "pydantic",
    "matplotlib",
    "xarray",
    "pandas",
    "scipy",
    "sklearn",
    "h5py",
    "numpy",
    "jaxtyping",
)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    # A fresh interpreter: this one has loaded everything already.
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


def top_level_modules_of(stderr: str) -> set[str]:
    """Names of the packages in the output of `python -X importtime`."""
    names = (line.rpartition("|")[2].strip() for line in stderr.splitlines() if "|" in line)
    return {name.split(".")[0] for name in names}


def test_importing_the_package_loads_nothing_heavy() -> None:
    done = python("-X", "importtime", "-c", "import lfads_torch; print(lfads_torch.__version__)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()[0].isdigit()
    loaded = top_level_modules_of(done.stderr)
    assert "lfads_torch" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("fit", "--help"), ("search", "--help"), ("--version",)],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    done = python("-X", "importtime", "-m", "lfads_torch", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    loaded = top_level_modules_of(done.stderr)
    assert "lfads_torch" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded.intersection(HEAVY))


def test_importing_heavy_modules_would_be_seen() -> None:
    done = python("-X", "importtime", "-c", "import numpy")
    assert "numpy" in top_level_modules_of(done.stderr)


def test_lazy_names_are_what_they_say() -> None:
    import lfads_torch

    assert lfads_torch.Recording.__name__ == "Recording"
    assert lfads_torch.LFADS.__name__ == "LFADS"
    assert set(lfads_torch.__all__) <= set(dir(lfads_torch))
    with pytest.raises(AttributeError, match="nonsense"):
        lfads_torch.nonsense  # noqa: B018


def test_preparing_signals_needs_no_torch(tmp_path: Path) -> None:
    """The family's name is checked, and the family itself not loaded."""
    import numpy as np

    np.savez(
        tmp_path / "session.npz", spike_times=np.arange(1.0, 9.0), spike_units=np.ones(8, int),
        emg=np.ones((100, 2)), emg_times=np.arange(100) / 10, event_times=np.array([2.0, 5.0]),
    )  # fmt: skip
    command = ("-m", "lfads_torch", "prepare", str(tmp_path / "session.npz"), "--window", "0", "1")
    command += ("--bin-width", "0.5", "--out", str(tmp_path / "out.h5"), "--signals")
    done = python("-X", "importtime", *command, "emg=gamma")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "torch" not in top_level_modules_of(done.stderr)
    (tmp_path / "out.h5").unlink()
    wrong = python(*command, "emg=gama")
    assert wrong.returncode == 1
    assert "Did you mean 'gamma'?" in wrong.stderr
    assert not (tmp_path / "out.h5").exists()
