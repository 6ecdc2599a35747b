"""What is said while a fit trains: plain lines, the live view, the log."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest

from lfads_torch.cli.run_log import RunLog
from lfads_torch.cli.standing import Standing, duration
from lfads_torch.cli.streams import aligned, replace_unknown_characters
from lfads_torch.cli.watch import Watch
from lfads_torch.config.read import read_settings
from lfads_torch.training.loop import EpochReport

SETTINGS = read_settings(overrides=("training.epochs=9",))


def report(epoch: int, scores: list[float], *, ramp: float = 1.0) -> EpochReport:
    values = {
        "loss": [10.0 * member + epoch for member in range(len(scores))],
        "reconstruction": [0.25] * len(scores),
        "kl_initial_condition": [3.0] * len(scores),
        "kl_inputs": [4.0] * len(scores),
        "l2": [0.5] * len(scores),
        "ramp_kl": [ramp] * len(scores),
        "ramp_l2": [1.0] * len(scores),
        "learning_rate": [4e-3] * len(scores),
        "valid_score": scores,
    }
    members = tuple(range(len(scores)))
    return EpochReport(
        epoch=epoch, step=epoch + 1, seconds=2.0, members=members, values=values, messages=()
    )


def standing_after(*reports: EpochReport) -> Standing:
    standing = Standing(9)
    for each in reports:
        standing.add(each.row())
    return standing


def test_the_best_epoch_is_one_after_both_ramps() -> None:
    early = standing_after(report(0, [0.1], ramp=0.5))
    assert early.best_epoch is None
    assert early.score_text() == "0.1"
    later = standing_after(
        report(0, [0.1], ramp=0.5), report(1, [0.4]), report(2, [0.3]), report(3, [0.35])
    )
    assert (later.best_epoch, later.best_score) == (2, 0.3)
    assert later.score_text() == "0.35 (best 0.3, epoch 2)"


def test_every_epoch_counts_where_the_settings_say_so() -> None:
    standing = Standing(9, waits_for_ramps=False)
    standing.add(report(0, [0.1], ramp=0.5).row())
    assert standing.best_epoch == 0


def test_of_a_population_the_leading_member_is_shown() -> None:
    standing = standing_after(report(0, [0.5, 0.2, math.nan]), report(1, [0.4, 0.3, math.nan]))
    assert (standing.member, standing.n_members, standing.best_epoch) == (1, 3, 0)
    assert ("loss", "11") in standing.terms()
    assert "member 1 of 3" in standing.line()


def test_a_line_has_the_terms_the_score_the_rate_and_the_time_left() -> None:
    line = standing_after(report(0, [0.5]), report(1, [0.4])).line()
    for text in (
        "epoch 1 (2 of 9)", "loss 1", "reconstruction 0.25", "KL initial condition 3",
        "KL inputs 4", "L2 0.5", "score 0.4 (best 0.4, epoch 1)", "learning rate 0.004",
        "2 s/epoch", "at most 14 s left",
    ):  # fmt: skip
        assert text in line


def test_numbers_that_are_not_finite_do_not_lead() -> None:
    standing = standing_after(report(0, [math.nan]))
    assert standing.best_epoch is None
    assert "score nan" in standing.line()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_duration_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def begin_run(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "new.json").write_text("{}")
    (folder / "new.json").rename(folder / "run.json")


def test_the_log_waits_until_the_run_begins(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    log = RunLog(folder)
    log.write("first")
    assert not folder.exists()
    begin_run(folder)
    log.write("second")
    lines = (folder / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["first", "second"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line) for line in lines)


def test_a_refused_fit_writes_nothing_into_the_other_runs_log(tmp_path: Path) -> None:
    begin_run(tmp_path)
    RunLog(tmp_path).write("refused")
    assert not (tmp_path / "log.txt").exists()


def test_where_there_is_no_terminal_the_last_epoch_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Watch(tmp_path) as watch:
        watch.message("kernels: reference")
        for epoch in range(3):
            watch.epoch(report(epoch, [0.5 - epoch / 10]), SETTINGS)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "kernels: reference"
    assert len(said) == 2
    assert said[1].startswith("epoch 2 (3 of 9)")


def test_a_line_every_half_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lfads_torch.cli.watch.time.monotonic", lambda: now[0])
    with Watch(tmp_path) as watch:
        for epoch in range(7):
            now[0] += 11
            watch.epoch(report(epoch, [0.5]), SETTINGS)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == [
        "epoch 2 (3 of 9)",
        "epoch 5 (6 of 9)",
        "epoch 6 (7 of 9)",
    ]


def test_quiet_says_nothing_but_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(tmp_path / "run", is_quiet=True) as watch:
        begin_run(tmp_path / "run")
        watch.message("kernels: reference")
        watch.epoch(report(0, [0.5]), SETTINGS)
    assert capsys.readouterr() == ("", "")
    assert "epoch 0 (1 of 9)" in (tmp_path / "run" / "log.txt").read_text()


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_view_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    with Watch(tmp_path) as watch:
        watch.message("kernels: [reference]")
        watch.epoch(report(0, [0.5, 0.4]), SETTINGS)
        watch.epoch(report(1, [0.45, 0.3]), SETTINGS)
    shown = terminal.getvalue()
    for text in (
        "kernels: [reference]", "epoch 1 (2 of 9), member 1 of 2", "KL inputs", "validation score",
        "0.3 (best 0.3, epoch 1)", "learning rate", "at most 14 s left",
    ):  # fmt: skip
        assert text in shown
    assert "\x1b[" in shown  # it moved over its own lines


def test_what_an_encoding_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    replace_unknown_characters()
    print("R²")
    stream.flush()
    assert stream.buffer.getvalue() == b"R?\n"


def test_columns_are_aligned() -> None:
    assert aligned([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"
    assert aligned([]) == ""


def test_tensorboard_that_is_not_installed_is_said_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.errors import SettingsError

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install lfads-torch\[tensorboard\]"):
        Watch(tmp_path, has_tensorboard=True)


def test_scalars_go_to_the_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with Watch(tmp_path, is_quiet=True, has_tensorboard=True) as watch:
        watch.epoch(report(0, [0.5]), SETTINGS)
    assert list((tmp_path / "tensorboard").iterdir())
