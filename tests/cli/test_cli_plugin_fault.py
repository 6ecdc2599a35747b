"""An error in somebody's own part is told as theirs, and the run says that it failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, options

MODULE = """
import torch

from lfads_torch.training.augment import Augmentation


class Boom(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        raise ValueError("boom")


class WrongShapes(Augmentation):
    def __call__(self, batch, noise, rates, *, site):
        return torch.ones(3) @ torch.ones(2)


class FewerArguments(Augmentation):
    def __call__(self, batch):
        return batch
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "faulty_lab.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("faulty_lab", None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Boom", "faulty_lab.py, line 9, in Boom.__call__) raised ValueError: boom."),
        ("WrongShapes", "faulty_lab.py, line 14, in WrongShapes.__call__) raised RuntimeError: "),
        ("FewerArguments", "faulty_lab.py) has another signature (TypeError: FewerArguments."),
    ],
)
def test_an_error_in_an_augmentation_of_ones_own(
    lfads: Lfads, made: Made, folder: Path, name: str, told: str
) -> None:
    out, path = folder / "run", f"--plugin-path={folder}"
    chosen = options({**TINY, "augmentation.order": f"faulty_lab:{name}"})
    done = lfads("fit", made.recording, "--out", out, path, *chosen)
    assert done.code == 1
    assert "the plug-in faulty_lab" in done.err
    assert told in done.err
    assert "lfads-torch failed unexpectedly" not in done.err
    assert str(out / "log.txt") in done.err
    assert "Traceback" in (out / "log.txt").read_text()

    standing = json.loads(lfads("status", out, "--json").out)
    assert standing["status"] == "failed"
    assert told.rstrip(".: ") in standing["reason"]
    (out / "metrics.jsonl").touch()
    again = lfads("fit", made.recording, "--out", out, path, *chosen)
    assert "holds a run already (status: failed, the plug-in faulty_lab" in again.err
