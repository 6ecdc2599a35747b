"""What `--out` may replace, and what never: recordings, inputs, files of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Lfads, Made

READ = "is what this command reads"
SYNTHETIC = "is there already and is a synthetic recording; only an earlier"


def commands(made: Made, thesis: Path) -> Iterator[tuple[list[object], str]]:
    """Each with what it must be refused for."""
    recording, run, rates = made.recording, made.run, made.run / "rates.nc"
    yield ["prepare", recording, "--out", recording], READ
    yield ["split", recording, "--out", recording], READ
    yield ["infer", run, recording, "--out", recording], READ
    yield ["merge", rates, "--out", rates], READ
    yield ["export", rates, "--to", "mat", "--out", rates], READ
    yield ["infer", run, "--out", recording], SYNTHETIC
    yield ["export", rates, "--to", "npz", "--out", recording], SYNTHETIC
    yield ["plot", run, "loss_curves", "--out", recording], SYNTHETIC
    yield ["prepare", thesis, "--out", recording], SYNTHETIC
    yield ["synth", "demo", "--out", rates], "is a rates file; only an earlier synthetic recording"
    yield ["split", recording, "--out", run / "settings.yaml"], "is a settings file"
    yield ["infer", run, "--out", thesis], "is a text file; only an earlier rates file is replaced"


def test_nothing_is_lost(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("x")
    files = [thesis, *(path for path in made.recording.parent.rglob("*") if path.is_file())]
    before = {path: path.read_bytes() for path in files if path.name != "log.txt"}
    for arguments, text in commands(made, thesis):
        done = lfads(*arguments)
        assert (done.code, text in done.err) == (1, True), done.err
        assert "--out" in done.err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_repeated_command_replaces_its_own_file_in_a_folder_it_made(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    run, rates = made.run, tmp_path / "a" / "r.nc"
    repeated: list[list[object]] = [
        ["infer", run, "--samples", 0, "--out", rates],
        ["export", rates, "--to", "npz", "--out", tmp_path / "b" / "r"],
        ["export", rates, "--to", "mat", "--out", tmp_path / "c" / "r"],
        ["export", rates, "--to", "csv", "--out", tmp_path / "d" / "r"],
        ["split", made.recording, "--out", tmp_path / "e" / "s.json"],
        ["split", made.recording, "--folds", 2, "--out", tmp_path / "f" / "s.json"],
        ["plot", run, "loss_curves", "--out", tmp_path / "g" / "p.svg"],
    ]
    for arguments in repeated:
        for _ in range(2):
            done = lfads(*arguments)
            assert done.code == 0, done.err
    assert len(list(tmp_path.glob("?/*"))) == 9


def test_check_looks_at_the_split_that_is_given(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    ids = ["--valid-ids", "1,3,4", "--test-ids", "0", "--held-out-ids", "5,2"]
    assert lfads("split", made.recording, "--out", tmp_path / "s.json", *ids).code == 0
    alone = lfads("check", made.recording, "--json")
    given = lfads("check", made.recording, "--json", "--split", tmp_path / "s.json")
    assert given.code == 0, given.err
    found, other = (json.loads(each.out)["summary"] for each in (given, alone))
    assert (found["n_train"], found["n_valid"], found["n_test"]) == (23, 3, 1)
    assert (found["n_held_out_units"], other["n_held_out_units"]) == (2, 0)
    assert other["n_valid"] == 6
    missing = lfads("check", made.recording, "--split", tmp_path / "none.json")
    assert missing.code == 1
    assert "none.json: could not be read" in missing.err
    twice = ["--split", tmp_path / "s.json", "--split", tmp_path / "s.json"]
    assert "--split gives 2 files for 1 recordings" in lfads("check", made.recording, *twice).err
