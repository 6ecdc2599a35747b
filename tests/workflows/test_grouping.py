"""How many members train at once: all, unless memory is short."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.workflows.fit import fit_run


@pytest.fixture
def grouped(tmp_path: Path):
    """The groups of a fit of five restarts, and what was said."""

    def fit(*overrides: str) -> tuple[int, list[str]]:
        watcher = Watcher()
        wanted = settings("run.n_seeds=5", "training.epochs=1", *overrides)
        run = fit_run(recording(), wanted, tmp_path / "run", observer=watcher)
        return run.read_record().grouping, watcher.said

    return fit


def test_all_train_at_once_where_there_is_room(grouped):
    size, said = grouped()
    assert size == 5
    assert not any("in turn" in text for text in said)


def test_little_memory_makes_groups_and_says_so(grouped):
    size, said = grouped("run.memory_gb=1e-6")  # less than one member, which cannot be divided
    assert size == 1
    assert "5 members train in turn, 1 at once" in said


def test_between_them_as_many_as_fit(grouped):
    size, _ = grouped("run.memory_gb=0.0002")
    assert 1 < size < 5


def test_a_number_of_members_goes_before_memory(grouped):
    assert grouped("run.memory_gb=1e-6", "run.members_at_once=3")[0] == 3
