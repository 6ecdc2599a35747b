"""Freed memory stays within the context and goes back after it."""

from __future__ import annotations

import sys

import pytest
import torch

from lfads_torch.training.memory import freed_memory_kept


def resident_mb() -> float:
    with open("/proc/self/status") as lines:
        found = next(line for line in lines if line.startswith("VmRSS"))
    return int(found.split()[1]) / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_freed_memory_stays_within_and_goes_back_after():
    before = resident_mb()
    with freed_memory_kept():
        array = torch.ones(100, 2**18)  # 100 MB
        del array
        within = resident_mb()
    assert within - before > 90
    assert resident_mb() - before < 30


def test_it_ends_when_an_error_leaves_it():
    with pytest.raises(KeyError), freed_memory_kept():
        raise KeyError
    assert torch.ones(3).sum() == 3
