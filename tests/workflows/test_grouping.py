"""How many members train at once: all of a small model, unless memory is short."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.data.check import memory
from lfads_torch.data.check.estimate import CostSizes, memory_of
from lfads_torch.data.check.memory import MemoryEstimate
from lfads_torch.workflows.check_file import plan_of
from lfads_torch.workflows.fit import fit_run, resume_run


def stopped_at_once() -> Watcher:
    """After one epoch: nothing is inferred then."""
    return Watcher(lambda report: signal.raise_signal(signal.SIGTERM))


@pytest.fixture
def grouped(tmp_path: Path):
    """The groups of a fit of five restarts, and what was said."""

    def fit(*overrides: str) -> tuple[int, list[str]]:
        watcher = stopped_at_once()
        wanted = settings("run.n_seeds=5", *overrides)
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
    each = estimated_memory("run.n_seeds=5")
    enough = each.shared + 5 * each.per_member + 3.5 * each.per_member_at_once
    assert grouped(f"run.memory_gb={enough / 1e9}")[0] == 3


def estimated_memory(*overrides: str) -> MemoryEstimate:
    own, cases = settings(*overrides), recording()
    split = cases.split
    sizes = CostSizes(
        n_trials=cases.n_trials,
        n_train=len(split.trials("train")),
        n_valid=len(split.trials("valid")),
        n_bins=cases.n_bins,
        n_encoded_bins=split.n_encoded_bins,
        n_units=cases.n_units,
        n_encoded_units=int(split.is_encoded.sum()),
        n_external_inputs=0,
    )
    return memory_of(plan_of(own), sizes)


def test_a_large_model_trains_a_few_at_once_and_says_so(grouped, monkeypatch):
    monkeypatch.setattr(memory, "WORTHWHILE_BYTES", 1)
    size, said = grouped("run.threads=2")
    assert size == 2
    assert "5 members train in turn, 2 at once" in said


def test_a_stored_grouping_is_kept_by_a_resumed_run(tmp_path, monkeypatch):
    """Of a run begun when all trained at once, as older versions did."""
    wanted = settings("run.n_seeds=5", "training.epochs=3", "run.threads=1")
    run = fit_run(recording(), wanted, tmp_path / "run", observer=stopped_at_once())
    assert (run.read_record().status, run.read_record().grouping) == ("interrupted", 5)
    monkeypatch.setattr(memory, "WORTHWHILE_BYTES", 1)
    watcher = stopped_at_once()
    assert resume_run(run.path, observer=watcher).read_record().grouping == 5
    assert not any("in turn" in text for text in watcher.said)
