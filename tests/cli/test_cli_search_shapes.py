"""`lfads search --shapes`, and `lfads resume --population`."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, options

from lfads_torch.cli.search_shapes import shapes_table
from lfads_torch.outputs.shapes_file import Shape, ShapesRecord
from lfads_torch.workflows import fit_file

SHAPE = "model.generator_size"
MODEL = {name: value for name, value in TINY.items() if name not in (SHAPE, "training.epochs")}
SEARCH = (*options(MODEL), "--population", 2, "--generations", 1, "--generation-epochs", 1)


@pytest.fixture(autouse=True)
def results_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_file, "finish_run", lambda run, **given: run)


def test_a_search_over_shapes_prints_its_table_and_the_best(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    asked = ("search", made.recording, "--out", tmp_path / "out", *SEARCH, "--method", "random",
             "--search", f"{SHAPE}=4..9", "--shapes", 2)  # fmt: skip
    done = lfads(*asked)
    assert done.code == 0, done.err
    head, first, second, best, table = done.out.splitlines()
    assert head.split() == ["rank", "folder", SHAPE, "members", "score", "status"]
    assert [first.split()[0], second.split()[0]] == ["1", "2"]
    assert float(first.split()[4]) <= float(second.split()[4])
    assert best.split() == ["best:", str(tmp_path / "out" / first.split()[1])]
    assert table.split() == ["table:", str(tmp_path / "out" / "shapes.json")]
    assert f"shape_0, 1 of 2: {SHAPE}=" in done.err
    again = lfads(*asked, "--resume-if-exists")
    assert (again.code, again.out) == (0, done.out)
    refused = lfads(*asked)
    assert refused.code == 1
    assert "holds a search over shapes already (2 of 2 are finished)" in refused.err
    advice = lfads("resume", tmp_path / "out").err
    assert "holds the runs of one `lfads search`" in advice
    assert "--resume-if-exists" in advice
    inspected = lfads("inspect", tmp_path / "out")
    assert inspected.code == 0
    assert "shapes.shape_1" in inspected.out
    shown = lfads("inspect", tmp_path / "out" / "shapes.json")
    assert shown.code == 0
    assert "lfads-torch shapes" in shown.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--search", f"{SHAPE}=4..9", "--shapes", 2], "shapes (--shapes) are for a random search"),
        (["--search", f"{SHAPE}=4..9"], f"--method random --search {SHAPE}=LOW..HIGH --shapes 4"),
        (["--method", "random", "--shapes", 2], "no setting that changes shapes is searched"),
        (["--search", "data.bin_width_s=0.005..0.02"], "scores per entry of different bins"),
        (["--list", "values.csv", "--shapes", 2], "--list values.csv gives every member"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(
    lfads: Lfads, made: Made, tmp_path: Path, arguments: list[object], told: str
) -> None:
    given = [*options(MODEL), *arguments]
    done = lfads("search", made.recording, "--out", tmp_path / "out", *given)
    assert done.code == 1
    assert told in done.err
    assert not (tmp_path / "out").exists()


def test_shapes_without_a_score_come_last() -> None:
    waiting = Shape(folder="shape_0", settings={SHAPE: 5}, members=2, seed=1)
    record = ShapesRecord(ranges={SHAPE: (4, 9)}, shapes=(waiting, waiting, waiting))
    record = record.having(1, folder="shape_1", status="failed", reason="it diverged")
    record = record.having(2, folder="shape_2", status="finished", score=-0.25)
    lines = [line.split() for line in shapes_table(record).splitlines()[1:]]
    assert lines == [
        ["1", "shape_2", "5", "2", "-0.250000", "finished"],
        ["-", "shape_0", "5", "2", "-", "waiting"],
        ["-", "shape_1", "5", "2", "-", "failed"],
    ]


def test_resume_knows_population_and_device(lfads: Lfads, made: Made) -> None:
    for given in (("--population", 3), ("--device", "cpu")):
        done = lfads("resume", made.run, *given)
        assert done.code == 1
        assert f"the run has finished, so {given[0]} cannot change it any more" in done.err
