"""What `--out` may replace, and what never: recordings, inputs, files of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import SYSTEM, Lfads, Made, options

READ = "is what this command reads"
SYNTHETIC = "is there already and is a synthetic recording; only an earlier"


def commands(made: Made, thesis: Path) -> Iterator[tuple[list[object], str]]:
    """Each with what it must be refused for."""
    recording, run, rates = made.recording, made.run, made.run / "rates.nc"
    drawn = thesis.with_suffix(".svg")  # a name that a figure may have
    yield ["prepare", recording, "--out", recording], READ
    yield ["split", recording, "--out", recording], READ
    yield ["infer", run, recording, "--out", recording], READ
    yield ["merge", rates, "--out", rates], READ
    yield ["export", rates, "--to", "mat", "--out", rates], READ
    yield ["infer", run, "--out", recording], SYNTHETIC
    yield ["export", rates, "--to", "npz", "--out", recording], SYNTHETIC
    yield ["plot", run, "loss_curves", "--out", drawn], "is a text file; only an earlier picture"
    yield ["prepare", thesis, "--out", recording], SYNTHETIC
    yield ["synth", "demo", "--out", rates], "is a rates file; only an earlier synthetic recording"
    yield ["split", recording, "--out", run / "settings.yaml"], "is a settings file"
    yield ["infer", run, "--out", thesis], "is a text file; only an earlier rates file is replaced"


def test_nothing_is_lost(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("x")
    thesis.with_suffix(".svg").write_text("x")
    files = [
        thesis,
        thesis.with_suffix(".svg"),
        *(path for path in made.recording.parent.rglob("*") if path.is_file()),
    ]
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
    assert (
        "paths (--split) gives 2 files for 1 recordings"
        in lfads("check", made.recording, *twice).err
    )


OTHER = "would replace"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rates_of_another_recording_or_run_are_kept_unless_asked_otherwise(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    from shutil import copytree

    run, other = tmp_path / "run", tmp_path / "other.h5"
    copytree(made.run, run)
    assert lfads("synth", "lorenz", "--seed", 5, "--out", other, *options(SYSTEM)).code == 0
    before = (run / "rates.nc").read_bytes()
    samples = ("--samples", 0)
    refused: list[list[object]] = [
        ["infer", run, other, "--out", run / "rates.nc", *samples],
        ["infer", made.run, "--out", run / "rates.nc", *samples],
        ["infer", run, other, made.recording, "--out", tmp_path / "two", *samples],
    ]
    assert lfads("infer", run, "--out", tmp_path / "two" / "other.nc", *samples).code == 0
    for arguments in refused:
        done = lfads(*arguments)
        assert done.code == 1
        assert OTHER in done.err
        assert "--overwrite" in done.err
    assert (run / "rates.nc").read_bytes() == before
    assert not (tmp_path / "two" / "tiny.nc").exists()  # all are looked at before the first
    again = lfads("infer", run, made.recording, "--out", run / "rates.nc", *samples)
    assert again.code == 0, again.err
    asked = lfads("infer", run, other, "--out", run / "rates.nc", *samples, "--overwrite")
    assert asked.code == 0, asked.err
    assert lfads("merge", run / "rates.nc").code == 1  # its trials are no chops


def test_older_rates_are_of_the_session_that_they_name(made: Made, tmp_path: Path) -> None:
    from shutil import copy

    import h5py

    from lfads_torch.errors import OutputError
    from lfads_torch.outputs.same_recording import rates_of_file, require_same_rates

    old = tmp_path / "rates.nc"
    copy(made.run / "rates.nc", old)
    new = rates_of_file(old)
    assert new.fingerprint == json.loads((made.run / "run.json").read_text())["data_fingerprint"]
    with h5py.File(old, "r+") as file:
        del file.attrs["data_fingerprint"]
    require_same_rates(old, new)
    for other in (replace(new, session="tuesday"), replace(new, unit_ids=["1"])):
        with pytest.raises(OutputError, match=OTHER):
            require_same_rates(old, other)


def test_another_session_or_system_is_kept_unless_asked_otherwise(
    lfads: Lfads, tmp_path: Path
) -> None:
    sources = [tmp_path / day / "session.npz" for day in ("monday", "tuesday")]
    for n_trials, source in enumerate(sources, start=3):
        source.parent.mkdir()
        np.savez(source, counts=np.ones((n_trials, 4, 2), dtype=int), bin_width_s=0.01)
    prepared, made = tmp_path / "prepared.h5", tmp_path / "made.h5"
    system = ["synth", "lorenz", "--out", made, *options(SYSTEM)]
    cases: list[tuple[list[object], list[object]]] = [
        (["prepare", sources[0], "--out", prepared], ["prepare", sources[1], "--out", prepared]),
        (system, [*system, "--seed", 1]),
        (system, [*system, "--set", "n_units=8"]),
    ]
    for own, other in cases:
        assert lfads(*own, "--overwrite").code == 0
        wider = lfads(*own, "--bin-width", 0.02) if own[0] == "prepare" else lfads(*own)
        assert wider.code == 0, wider.err
        before = Path(str(own[own.index("--out") + 1])).read_bytes()
        done = lfads(*other)
        assert done.code == 1
        assert OTHER in done.err or "would be replaced" in done.err
        assert Path(str(own[own.index("--out") + 1])).read_bytes() == before
        assert lfads(*other, "--overwrite").code == 0


def test_a_split_that_a_file_has_is_told_where_another_is_drawn(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    drawn = lfads("split", made.recording, "--held-out", 0.3, "--out", tmp_path / "s.json")
    assert drawn.code == 0
    assert "its sets (3 test and 6 valid trials) are drawn anew" in drawn.err
    named = lfads("split", made.recording, "--valid-ids", "1,3", "--out", tmp_path / "t.json")
    assert (named.code, named.err) == (0, "")


def test_a_figure_of_another_ending_is_refused_before_it_is_drawn(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise AssertionError("drawn")

    monkeypatch.setattr("lfads_torch.analysis.figures.base.draw_figure", fail)
    done = lfads("plot", made.run, "rates", "--out", tmp_path / "new" / "x.gif")
    assert done.code == 1
    assert "ends in .svg, .png or .pdf" in done.err
    assert not (tmp_path / "new").exists()
