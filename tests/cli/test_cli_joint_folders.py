"""Folders of several runs and one record, and small things that a user tries first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Lfads, Made

from lfads_torch.outputs.ensemble_file import EnsembleRecord, write_ensemble
from lfads_torch.outputs.left_out_file import LEFT_OUT, LeftOut, LeftOutRecord, write_left_out
from lfads_torch.outputs.shapes_file import SHAPES, Shape, ShapesRecord, write_shapes

SCORE = {
    "name": "co_smoothing_bits_per_spike", "unit": "bits/spike", "set": "test", "n_trials": 3,
    "used_for_selection": False, "added": 0.25, "low": 0.125, "high": 0.375,
    "together": {"value": 0.5, "difference": -0.25, "low": -0.5, "high": 0.0},
}  # fmt: skip
OTHER = {**SCORE, "name": "behaviour_r2", "unit": "", "added": 0.75, "low": None, "high": None}


def runs_of(name: str) -> dict[str, str]:
    return {kind: f"{kind}_{name}" for kind in ("without", "added")}


@pytest.fixture
def left_out(made: Made, tmp_path: Path) -> Path:
    """One session is done, one failed, one has begun (the run beside it has finished)."""
    folder = tmp_path / "left_out"
    shutil.copytree(made.run, folder / "without_friday")
    record = LeftOutRecord(
        run="all_sessions",
        n_trials=7,
        sessions=(
            LeftOut(session="monday", runs=runs_of("monday"), status="finished", set="test",
                    scores=(SCORE, OTHER)),
            LeftOut(session="tuesday", runs=runs_of("tuesday"), status="failed", reason="diverged"),
            LeftOut(session="friday", runs=runs_of("friday")),
        ),
    )  # fmt: skip
    write_left_out(folder / LEFT_OUT, record)
    return folder


def test_status_of_sessions_left_out(lfads: Lfads, left_out: Path) -> None:
    told = lfads("status", left_out)
    assert told.code == 0
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert lines[0] == "session state folders"
    assert lines[1] == "monday finished without_monday, added_monday"
    assert lines[2].startswith("tuesday failed (diverged)")
    assert lines[3].startswith("friday without finished")
    assert "monday test 3 0.2500 (0.1250 to 0.3750) 0.5000 -0.2500 (-0.5000 to +0.0000)" in lines
    assert json.loads(lfads("status", left_out, "--json").out)["n_trials"] == 7


def test_resume_of_sessions_left_out_names_the_command_to_repeat(
    lfads: Lfads, left_out: Path, made: Made
) -> None:
    told = lfads("resume", left_out)
    assert told.code == 1
    assert "leave_one_out.json lists them" in told.err
    assert "Go on with that `lfads leave-one-out` command and --resume-if-exists" in told.err
    for n in range(6):
        (left_out / f"run_{n}").mkdir()
        shutil.copy(made.run / "run.json", left_out / f"run_{n}")
    listed = lfads("infer", left_out, "--out", left_out / "r.nc").err
    assert "run_4 and 2 more: name one of them." in listed


def test_evaluate_of_sessions_left_out(lfads: Lfads, left_out: Path, made: Made) -> None:
    told = lfads("evaluate", left_out)
    assert told.code == 0
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert lines[0] == "monday:"
    assert "co_smoothing_bits_per_spike test 3 0.25 bits/spike 0.125 to 0.375 0.5" in lines
    assert "behaviour_r2 test 3 0.75 0.5" in lines
    assert "stored in" in told.err
    assert json.loads(lfads("evaluate", left_out, "--json").out)["sessions"][0]["scores"]
    other = lfads("evaluate", left_out, made.recording)
    assert "name the run to apply" in " ".join(other.err.split())
    waiting = LeftOutRecord(sessions=(LeftOut(session="friday", runs=runs_of("friday")),))
    write_left_out(left_out / LEFT_OUT, waiting)
    assert "no session that was left out has a score yet" in lfads("evaluate", left_out).err


def test_inspect_says_records_in_short(lfads: Lfads, left_out: Path, tmp_path: Path) -> None:
    for path in (left_out, left_out / LEFT_OUT):
        out = " ".join(lfads("inspect", path).out.split())
        assert "sessions.monday finished; co-smoothing 0.25 bits/spike (test trials), tog" in out
        assert "few-shot 7 training trials" in out
        assert "{" not in out
    chosen = EnsembleRecord(
        members=(3, 1), nats=(0.51, 0.5), candidates=(0, 1, 3), scores=(0.6, 0.5, 0.4), n_trials=9
    )
    assert write_ensemble(tmp_path / "ensemble.json", chosen)
    out = " ".join(lfads("inspect", tmp_path / "ensemble.json").out.split())
    assert "models.1 member 3, 0.51 nats per entry so far models.2 member 1, 0.5 nats" in out


def test_a_folder_of_shapes(lfads: Lfads, tmp_path: Path) -> None:
    shapes = tuple(
        Shape(folder=f"shape_{n}", settings={"model.n_factors": 3 + n}, members=5, seed=n)
        for n in range(2)
    )
    record = ShapesRecord(seed=1, ranges={"model.n_factors": (3, 9)}, shapes=shapes)
    record = record.having(1, status="finished", score=0.25)
    write_shapes(tmp_path / SHAPES, record)
    told = lfads("status", tmp_path)
    assert "shape_1" in told.out.splitlines()[1]
    assert "best:" in told.out
    out = " ".join(lfads("inspect", tmp_path / SHAPES).out.split())
    assert "shapes.shape_1 rank 1, score 0.25, model.n_factors 4, 5 members, finished" in out
    assert "shapes.shape_0 no score, model.n_factors 3, 5 members, waiting" in out
    resumed = lfads("resume", tmp_path)
    assert resumed.code == 1
    assert "Go on with that `lfads search` command and --resume-if-exists" in resumed.err
    refused = lfads("evaluate", tmp_path)
    assert refused.code == 1
    assert f"such as {tmp_path / 'shape_1'}" in " ".join(refused.err.split())


def test_export_finds_the_rates_of_a_run_and_gives_the_ending(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    told = lfads("export", made.run, "--to", "npz", "--out", tmp_path / "run")
    assert (told.code, told.out.strip()) == (0, str(tmp_path / "run.npz")), told.err
    several = tmp_path / "several" / "sessions"
    for name in ("mon", "tue"):
        (several / name).mkdir(parents=True)
        (several / name / "rates.nc").write_bytes(b"")
    refused = lfads("export", several.parent, "--to", "npz")
    assert refused.code == 1
    assert f"name one of them: {several / 'mon' / 'rates.nc'}" in refused.err
    empty = tmp_path / "nothing"
    empty.mkdir()
    assert "is a folder without rates" in " ".join(
        lfads("export", empty, "--to", "npz").err.split()
    )
    rates = made.run / "rates.nc"
    done = lfads("export", rates, "--to", "npz", "--out", tmp_path / "mine")
    assert done.out.strip() == str(tmp_path / "mine.npz")
    into = lfads("export", rates, "--to", "csv", "--out", empty)
    assert into.out.split() == [str(empty / "rates.csv"), str(empty / "rates_factors.csv")]


def test_inspect_knows_what_export_writes(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    rates = made.run / "rates.nc"
    for kind in ("mat", "npz", "csv"):
        assert lfads("export", rates, "--to", kind, "--out", tmp_path / f"r.{kind}").code == 0
    for kind, what in (("mat", "MATLAB export of rates"), ("npz", "NumPy export of rates")):
        found = json.loads(lfads("inspect", tmp_path / f"r.{kind}", "--json").out)
        assert found["what"] == what
        assert (found["session"], found["member"]) == ("lorenz", 0)
        assert found["contents"]["rates"] == "[27, 11, 7] " + (
            "single" if kind == "mat" else "float32"
        )
    found = json.loads(lfads("inspect", tmp_path / "r.csv", "--json").out)
    assert (found["what"], found["lines"]) == ("text export of rates", 27 * 11 * 7)
    assert "unit_id" in found["columns"]
    assert "factor_0" in lfads("inspect", tmp_path / "r_factors.csv").out


def test_columns_of_scores_without_values_are_left_out(lfads: Lfads, left_out: Path) -> None:
    out = lfads("evaluate", left_out).out
    assert "together" in out
    assert "alone" not in out  # no model was trained on one session alone
    record = json.loads((left_out / LEFT_OUT).read_text())
    for row in record["sessions"][0]["scores"]:
        row["low"] = row["high"] = None
        row.pop("together")
    (left_out / LEFT_OUT).write_text(json.dumps(record))
    titles = lfads("evaluate", left_out).out.splitlines()[1].split()
    assert titles == ["score", "set", "trials", "added"]
