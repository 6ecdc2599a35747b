"""The example runs as a user would run it, and its rates follow the true ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_recovers_the_true_rates(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "fit_in_python.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"R2 of the true rates.*: (-?[\d.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found.group(1)) > 0.6
    assert list(tmp_path.iterdir()) == []
