"""`lfads leave-one-out`."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY, Lfads, Made, options
from session_cases import sessions

from lfads_torch.cli.leave_one_out import _print, _request, left_out_table
from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.run_arguments import RunArguments, TrainingArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.outputs.left_out_file import LEFT_OUT, LeftOut, LeftOutRecord, read_left_out

ROW = {
    "name": "co_smoothing_bits_per_spike", "unit": "bits/spike", "set": "test", "n_trials": 3,
    "used_for_selection": False, "added": 0.25, "low": 0.125, "high": 0.375,
    "alone": {"value": 0.5, "difference": -0.25, "low": -0.5, "high": 0.0},
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for recording in sessions():
        paths.append(tmp_path / f"{recording.session}.h5")
        write_recording(recording, paths[-1])
    return paths


def test_sessions_of_files_are_left_out_and_told(
    lfads: Lfads, files: list[Path], tmp_path: Path
) -> None:
    small = options({**TINY, "training.epochs": 1, "loss.kl_ramp_increase": 0})
    asked = ("leave-one-out", *files, "--out", tmp_path / "out", "--only", "friday", *small)
    done = lfads(*asked)
    assert done.code == 0, done.err
    what, head, friday, pooled, place = done.out.splitlines()
    assert what == "co-smoothing, bits/spike; difference: the added session's less the other's"
    assert head.split() == ["session", "set", "trials", "added"]
    record = read_left_out(tmp_path / "out" / LEFT_OUT)
    row = {each["name"]: each for each in record.sessions[0].scores}[ROW["name"]]
    assert friday.split()[:4] == ["friday", "test", "5", f"{row['added']:.4f}"]
    assert pooled.split()[:3] == ["pooled", "test", "5"]
    assert place.split()[-1] == str(tmp_path / "out" / LEFT_OUT)
    assert "friday, 1 of 1" in done.err
    again = lfads(*asked, "--resume-if-exists")
    assert (again.code, again.out) == (0, done.out)
    assert "added_friday is finished; it stays as it is" in again.err
    refused = lfads(*asked)
    assert refused.code == 1
    assert "holds sessions left out already (1 of 1 are finished)" in refused.err


def test_options_that_a_run_does_not_take_are_named(
    lfads: Lfads, made: Made, files: list[Path], tmp_path: Path
) -> None:
    given = ("leave-one-out", made.run, files[0], "--out", tmp_path / "out", "--held-out", 0.5)
    done = lfads(*given)
    assert done.code == 1
    assert "further recordings, options of the split beside a run" in done.err
    alone = lfads("leave-one-out", made.run, "--out", tmp_path / "out")
    assert "is a run of one recording; leaving a session out takes" in alone.err
    warm = lfads("leave-one-out", *files, "--out", tmp_path / "out", "--from", made.run)
    assert "--from: models that leave a session out start anew" in warm.err
    two = lfads("leave-one-out", *files[:2], "--out", tmp_path / "out")
    assert "2 sessions (monday, tuesday): leaving one out takes at least 3" in two.err
    missing = lfads("leave-one-out", tmp_path / "nothing", "--out", tmp_path / "out")
    assert (missing.code, "Traceback" in missing.err) == (1, False)
    assert not (tmp_path / "out").exists()


def test_the_table_tells_what_failed_and_waits() -> None:
    kinds = {"without": "without_monday", "added": "added_monday", "alone": "alone_monday"}
    sessions_ = (
        LeftOut(session="monday", runs=kinds, status="finished", scores=(ROW,)),
        LeftOut(session="tuesday", runs=kinds, status="failed", reason="it diverged"),
        LeftOut(session="friday", runs=kinds),
    )
    head, monday, tuesday, friday = left_out_table(LeftOutRecord(sessions=sessions_)).splitlines()
    assert head.split() == ["session", "set", "trials", "added", "alone", "difference"]
    told = "monday test 3 0.2500 (0.1250 to 0.3750) 0.5000 -0.2500 (-0.5000 to +0.0000)"
    assert " ".join(monday.split()) == told
    assert tuesday.split() == ["tuesday", "-", "-", "failed", "-", "-"]
    assert friday.split() == ["friday", "-", "-", "waiting", "-", "-"]


def test_a_session_that_failed_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"without": "without_monday", "added": "added_monday"}
    finished = LeftOut(session="monday", runs=kinds, status="finished", scores=(ROW,))
    failed = LeftOut(session="tuesday", runs=kinds, status="failed", reason="it diverged")
    assert _print(LeftOutRecord(sessions=(finished,)), tmp_path) == 0
    assert _print(LeftOutRecord(sessions=(finished, failed)), tmp_path) == 1
    assert "tuesday: training failed" in capsys.readouterr().err


def test_how_files_are_read_and_divided_is_said(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for is_quiet in (False, True):
        given = TrainingArguments(
            run=RunArguments(quiet=is_quiet),
            settings=SettingArguments(overrides=("data.read_by=trial",)),
            split=SplitArguments(),
            reader=ReaderArguments(),
        )
        _request(tuple(files), tmp_path / "out", given, {})
        told = "counts are read from the file by trial" in capsys.readouterr().err
        assert told is not is_quiet
