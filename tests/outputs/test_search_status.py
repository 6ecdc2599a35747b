"""What status and inspect say of a search, from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.history_file import write_history
from lfads_torch.outputs.inspect import describe, rows
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import RunRecord
from lfads_torch.outputs.run_status import status

RATE = "training.learning_rate"


def row(generation: int, member: int, **values: object) -> dict[str, object]:
    return {"generation": generation, "member": member, "parent": member, "founder": member,
            "is_frozen": 0, "broke": "", "outcome": "kept", RATE: 1e-3, **values}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    found = RunFolder.create(tmp_path / "run", RunRecord(search={"method": "population"}))
    found.write_settings("search:\n  generations: 33\ntraining:\n  epochs: 100\n")
    return found


def search_of(run: RunFolder) -> dict[str, Any]:  # JSON values
    standing = status(run.path)
    json.dumps(standing, allow_nan=False)
    return standing["search"]


def test_before_the_first_generation_nothing_is_known(run: RunFolder) -> None:
    run.metrics.append({"epoch": 0, "step": 1, "seconds": 2.0, "valid_score": [3.0, 4.0]})
    found = search_of(run)
    assert (found["generations"], found["generations_at_most"], found["best"]) == (0, 33, {})
    assert status(run.path)["lowest_score"] == []
    assert status(run.path)["epochs_at_most"] == 100


def test_the_best_is_that_of_the_whole_history(run: RunFolder) -> None:
    write_history(
        run.history_path,
        [
            row(-1, 0, score=9.0, outcome="dropped"),
            row(-1, 3, score=1.0),
            row(0, 3, score=2.0, best_score=2.0, best_epoch=5),
            row(0, 7, score=1.0, best_score=1.0, best_epoch=6, founder=2),
            row(1, 3, score=2.0, best_score=1.5, best_epoch=8),
            row(1, 7, score=None, is_frozen=1, broke="kl_inputs", best_score=1.0, best_epoch=6),
        ],
    )
    found = search_of(run)
    assert found["best"] == {"score": 1.0, "epoch": 6, "generation": 0, "member": 7, "founder": 2}
    assert found["frozen"] == {"7": "kl_inputs"}
    assert (found["generations"], found["halving_rounds"], found["members"]) == (2, 1, 2)
    assert found["searched"] == [RATE]
    assert "history.csv" in status(run.path)["files"]


def test_a_damaged_history_does_not_hide_the_rest(run: RunFolder) -> None:
    run.history_path.write_text("generation,member,parent,founder\n1,2")
    assert search_of(run)["generations"] == 0
    with pytest.raises(RunError, match="ends in the middle of a line"):
        describe(run.history_path)


def test_settings_that_cannot_be_read_leave_the_limits_open(run: RunFolder) -> None:
    for text in ("[", "training: 3\nsearch: 4\n", "training:\n  epochs: many\n"):
        run.settings_path.write_text(text)
        assert status(run.path)["epochs_at_most"] is None
        assert search_of(run)["generations_at_most"] is None


def test_a_fit_is_no_search(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "fit", RunRecord())
    assert status(run.path)["search"] is None


def test_inspect_knows_the_files_of_a_search(run: RunFolder) -> None:
    write_history(run.history_path, [row(g, m, score=g + m) for g in range(3) for m in range(2)])
    found = describe(run.history_path)
    assert (found["what"], found["n_generations"], found["n_members"]) == (
        "history of a search", 3, 2,
    )  # fmt: skip
    assert found["last"] == {"0": 2, "1": 3}
    assert ("last.1", "3") in rows(found)
    write_history(run.history_path, [])
    assert describe(run.history_path)["n_generations"] == 0
    run.space_path.write_text(f"{RATE}:\n  low: 1.0e-05\n  high: 0.005\n  first: 0.1\n")
    assert describe(run.space_path) == {"what": "search space", RATE: "1e-05 .. 0.005, first 0.1"}


@pytest.mark.parametrize("text", ["a: 3\n", "a: {low: 3}\n", "{}\n", "generation,member\n"])
def test_what_only_looks_like_it_is_not_described(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match="a text file"):
        describe(path)
