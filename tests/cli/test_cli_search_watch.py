"""What is said while a search trains: lines of generations and epochs, and the table of members."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from lfads_torch.cli.live_search import (
    Column,
    columns_of,
    fitting,
    members_shown,
    search_picture,
)
from lfads_torch.cli.search_beginning import Beginning, read_beginning
from lfads_torch.cli.search_standing import SearchStanding
from lfads_torch.cli.watch import Watch
from lfads_torch.config.read import read_settings
from lfads_torch.config.space import space_to_yaml
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import RunRecord
from lfads_torch.search.history import GenerationReport
from lfads_torch.search.space import published_space
from lfads_torch.training.loop import EpochReport

SETTINGS = read_settings(
    overrides=(
        "search.population=3", "search.generations=4", "search.generation_epochs=5",
        "loss.kl_ramp_increase=1", "loss.l2_ramp_increase=1",
    )
)  # fmt: skip
FIRST_END, EVERY = 6, 5  # epochs when generation 0 ends, and of each later one
NAMES = [each.name for each in published_space()]


def report(epoch: int, scores: list[float], members: tuple[int, ...] = ()) -> EpochReport:
    n = len(scores)
    values = {
        "loss": [10.0] * n,
        "reconstruction": [0.25] * n,
        "kl_initial_condition": [3.0] * n,
        "kl_inputs": [4.0] * n,
        "l2": [0.5] * n,
        "ramp_kl": [1.0 if epoch else 0.5] * n,
        "ramp_l2": [1.0] * n,
        "learning_rate": [4e-3] * n,
        "valid_score": scores,
    }
    return EpochReport(
        epoch=epoch,
        step=7 * (epoch + 1),
        seconds=2.0,
        members=members or tuple(range(n)),
        values=values,
        messages=(),
    )


def row(member: int, score: float | None, **changes: Any) -> dict[str, Any]:  # columns of a row
    return {
        "generation": 0, "member": member, "parent": member, "founder": member, "first_epoch": 0,
        "last_epoch": FIRST_END - 1, "score": score, "best_score": score, "best_epoch": 3,
        "is_frozen": 0, "broke": "", "outcome": "kept", **changes,
    }  # fmt: skip


def after_one_generation(n_members: int = 3) -> SearchStanding:
    standing = SearchStanding.of(SETTINGS, steps_per_epoch=7)
    scores = [0.5 - member / 1000 for member in range(n_members)]
    for epoch in range(FIRST_END):
        standing.add(report(epoch, scores).row())
    rows = [row(member, score) for member, score in enumerate(scores)]
    rows[1] |= {"outcome": "replaced"}
    standing.finish(rows)
    return standing


def test_generations_are_counted_along_the_epochs() -> None:
    standing = SearchStanding.of(SETTINGS, steps_per_epoch=7)
    found = []
    for epoch in range(FIRST_END + 3 * EVERY):
        standing.add(report(epoch, [0.5, 0.4, 0.3]).row())
        found.append(standing.generation)
    assert found == [0] * FIRST_END + [1] * EVERY + [2] * EVERY + [3] * EVERY
    assert standing.epochs.is_over
    assert not standing.is_over  # until the generation's end has said so


def test_the_line_of_an_epoch_names_the_generation_and_who_leads() -> None:
    standing = after_one_generation()
    standing.add(report(FIRST_END, [0.45, 0.44, 0.47]).row())
    line = standing.line()
    for text in (
        "generation 1 (2 of at most 4), epoch 6 (7 of at most 21), member 1 of 3 leads: loss 10",
        "KL inputs 4", "score 0.44 (best 0.44, epoch 6)", "2 s/epoch, at most 28 s left",
    ):  # fmt: skip
        assert text in line


def test_who_leads_now_is_shown_and_not_who_once_did() -> None:
    standing = SearchStanding.of(SETTINGS, steps_per_epoch=7)
    standing.add(report(1, [0.3, 0.5, 0.4]).row())
    standing.add(report(2, [0.9, 0.5, 0.4]).row())
    assert standing.epochs.member == 2
    assert standing.epochs.score_text() == "0.4 (best 0.3, epoch 1)"


def test_members_keep_their_ids_where_some_have_left() -> None:
    standing = SearchStanding.of(SETTINGS, steps_per_epoch=7)
    standing.add(report(3, [0.5, 0.4], members=(2, 33)).row())
    assert (standing.epochs.member, standing.epochs.best_member) == (33, 33)
    assert "score 0.4 (best 0.4" in standing.line()


def test_the_line_of_a_generation() -> None:
    standing = SearchStanding.of(SETTINGS, steps_per_epoch=7)
    for epoch in range(FIRST_END):
        standing.add(report(epoch, [0.5, 0.4, math.nan]).row())
    frozen = {"is_frozen": 1, "broke": "gradient_norm", "outcome": "replaced"}
    standing.finish([row(0, 0.5, outcome="replaced"), row(1, 0.4), row(2, None, **frozen)])
    assert standing.generation_line() == (
        "generation 0 (1 of at most 4): best score 0.4 (member 1), 2 of 3 replaced, "
        "frozen: member 2 (gradient_norm); 6 epochs in 12 s; at most 30 s left"
    )


def test_the_last_generation_leaves_no_time_and_nobody_is_replaced() -> None:
    standing = after_one_generation()
    standing.finish([row(0, 0.5, outcome="last"), row(1, None, outcome="last")])
    assert standing.is_over
    assert standing.generation_line() == (
        "generation 0 (1 of at most 4): best score 0.5 (member 0); 6 epochs in 12 s"
    )
    standing.finish([row(0, None, outcome="last")])
    assert "no member has a score" in standing.generation_line()


def test_rounds_of_halving_have_their_own_name() -> None:
    settings = read_settings(
        overrides=("search.start=halving", "search.halving_epochs=3", "search.halving_factor=4")
    )
    standing = SearchStanding.of(settings, steps_per_epoch=7)
    standing.add(report(3, [0.5] * 6).row())
    assert standing.generation_text() == "halving round 2 of 2"
    rows = [row(m, 0.5, generation=-2, last_epoch=2, outcome="dropped") for m in range(3)]
    standing.finish(rows)
    assert standing.generation_line().startswith("halving round 1 of 2: best score 0.5 (member 0)")
    assert "3 of 3 dropped" in standing.generation_line()


def test_age_counts_from_the_last_replacement() -> None:
    standing = after_one_generation()
    standing.add(report(FIRST_END, [0.5, 0.5, 0.5]).row())
    assert [standing.age(member) for member in range(3)] == [7, 1, 7]


# --- the table ---


def cells(standing: SearchStanding, title: str) -> dict[int, str]:
    return dict(next(c.cells for c in columns_of(standing) if c.title.replace("\n", " ") == title))


def test_the_table_knows_what_a_generation_began_with() -> None:
    standing = after_one_generation()
    values = {"training.learning_rate": {0: 4e-3, 1: 3.9999e-5, 2: 1e-5}, "a.long_name": {0: 123.4}}
    standing.beginning = Beginning(1, {0: 0, 1: 2, 2: 2}, values)
    standing.add(report(FIRST_END, [0.5, 0.45678, math.nan]).row())
    assert cells(standing, "learn. rate") == {0: "0.004", 1: "4e-5", 2: "1e-5"}
    assert cells(standing, "long name") == {0: "123"}
    assert cells(standing, "par- ent") == {0: "", 1: "2", 2: ""}
    assert cells(standing, "age") == {0: "7", 1: "1", 2: "7"}
    assert cells(standing, "best of line") == {0: "0.5", 1: "0.498", 2: "0.498"}  # of its parent
    assert cells(standing, "score") == {0: "0.5", 1: "0.45678", 2: "-"}
    assert cells(standing, "") == {0: "", 1: "", 2: "frozen"}


def test_without_the_stored_state_the_table_shows_less() -> None:
    standing = after_one_generation()
    titles = [column.title for column in columns_of(standing)]
    assert "learn.\nrate" not in titles
    assert "score" in titles


def test_columns_are_left_out_from_the_least_important_one() -> None:
    columns = [Column(str(n), {0: "12345"}, rank) for n, rank in enumerate((0, 2, 1, 2))]
    names = {width: "".join(c.title for c in fitting(columns, width)) for width in (24, 23, 17, 11)}
    assert names == {24: "0123", 23: "012", 17: "02", 11: "0"}
    assert len(fitting(columns, 1)) == 1


def full_table(n_members: int) -> SearchStanding:
    standing = after_one_generation(n_members)
    values = {name: {m: 1.2345e-5 * (m + 1) for m in range(n_members)} for name in NAMES}
    standing.beginning = Beginning(1, {m: (7 * m) % n_members for m in range(n_members)}, values)
    scores = [0.0612345 + m / 1000 for m in range(n_members)]
    scores[-1] = math.nan
    standing.add(report(FIRST_END, scores).row())
    return standing


def drawn(standing: SearchStanding, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(search_picture(standing, width=width, height=height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_twenty_members_fit_line_by_line(width: int) -> None:
    lines = drawn(full_table(20), width, 40)
    assert all(len(line) <= width for line in lines)
    members = [line.split()[0] for line in lines if line.strip()[:1].isdigit()]
    assert [each for each in members if each.isdigit()][-20:] == [str(m) for m in range(20)]


def test_in_a_hundred_columns_every_searched_setting_is_there() -> None:
    head = " ".join(drawn(full_table(20), 100, 40)[3:5])
    for word in ("learn.", "drop-", "coord.", "gener.", "contr.", "k", "inputs", "age", "par-"):
        assert word in head.split()
    assert head.split().count("KL") == 2


def test_where_there_are_too_many_members_the_best_are_shown() -> None:
    standing = full_table(33)
    assert members_shown(standing, 3) == [0, 1, 2]
    assert members_shown(standing, 33) == list(range(33))
    assert members_shown(standing, -5) == [0]
    lines = drawn(standing, 100, 12)
    assert len(lines) <= 12
    assert any("and 29 members with worse scores" in line for line in lines)


# --- the watch ---


def begin_search(folder: Path) -> RunFolder:
    run = RunFolder.create(folder, RunRecord(search={"method": "population"}))
    run.space_path.write_text(space_to_yaml(published_space()), encoding="utf-8")
    return run


def store_beginning(run: RunFolder, generation: int, parents: list[int]) -> None:
    n = len(parents)
    tensors = {
        "members": np.arange(n),
        "search/parent": np.array(parents),
        "search/generation": np.array([generation]),
        **{f"hyperparameters/{name.partition('.')[2]}": np.full(n, 0.125) for name in NAMES},
    }
    save_file(tensors, run.generation_checkpoint_path)


def watch_two_generations(watch: Watch) -> None:
    watch.message("kernels: reference")
    for epoch in range(FIRST_END):
        watch.epoch(report(epoch, [0.5, 0.4, 0.3]), SETTINGS)
    rows = tuple(row(m, 0.5 - m / 10) for m in range(3))
    watch.generation(GenerationReport(0, rows), SETTINGS)
    watch.epoch(report(FIRST_END, [0.5, 0.4, 0.3]), SETTINGS)
    last = tuple(each | {"generation": 1, "outcome": "last"} for each in rows)
    watch.generation(GenerationReport(1, last), SETTINGS)
    watch.message("the search ended")


def test_where_there_is_no_terminal_each_generation_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin_search(tmp_path / "run")
    with Watch(tmp_path / "run") as watch:
        begin_search(tmp_path / "run")
        watch_two_generations(watch)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == [
        "kernels", "generation 0 (1 of at most 4)", "generation 1 (2 of at most 4)",
        "the search ended",
    ]  # fmt: skip
    log = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in log] == said


def test_half_a_minute_is_a_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lfads_torch.cli.watch.time.monotonic", lambda: now[0])
    begin_search(tmp_path)
    with Watch(tmp_path) as watch:
        for epoch in range(5):
            now[0] += 11
            watch.epoch(report(epoch, [0.5, 0.4]), SETTINGS)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[1] for line in said] == [
        " epoch 2 (3 of at most 21)",
        " epoch 4 (5 of at most 21)",
    ]


def test_a_resumed_search_knows_its_past(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lfads_torch.outputs.history_file import write_history

    run = begin_search(tmp_path)
    for epoch in range(FIRST_END):
        run.metrics.append(report(epoch, [0.2, 0.4, 0.3]).row())
    write_history(run.history_path, [row(0, 0.2), row(1, 0.4, outcome="replaced"), row(2, 0.3)])
    with Watch(tmp_path) as watch:
        watch.epoch(report(FIRST_END, [0.5, 0.4, 0.3]), SETTINGS)
        assert isinstance(watch._standing, SearchStanding)
        assert [watch._standing.age(member) for member in range(3)] == [7, 1, 7]
    assert "score 0.3 (best 0.2, epoch 1)" in capsys.readouterr().err


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_the_population_is_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    with Watch(tmp_path / "run") as watch:
        store_beginning(begin_search(tmp_path / "run"), 0, [0, 1, 2])
        watch_two_generations(watch)
    shown = terminal.getvalue()
    found = ("generation 1 (2 of at most 4)", "mem-", "0.12", "age", "best score 0.3 (member 2")
    for text in found:
        assert text in shown
    assert "generation 0 (1 of at most 4): best score" not in shown  # that is for the log
    assert "generation 0 (1 of at most 4): best score" in (tmp_path / "run" / "log.txt").read_text()


def test_what_members_began_with_is_read_from_the_stored_state(tmp_path: Path) -> None:
    run = begin_search(tmp_path)
    assert read_beginning(run) is None
    store_beginning(run, 3, [1, 1, 0])
    found = read_beginning(run)
    assert found is not None
    assert (found.generation, found.parents) == (3, {0: 1, 1: 1, 2: 0})
    assert list(found.values) == NAMES
    assert found.values["loss.kl_input_scale"] == {0: 0.125, 1: 0.125, 2: 0.125}
    run.generation_checkpoint_path.write_bytes(b"torn")
    assert read_beginning(run) is None


def test_of_a_list_the_given_settings_are_read(tmp_path: Path) -> None:
    values = [{"training.learning_rate": 0.1}] * 3
    run = RunFolder.create(tmp_path, RunRecord(search={"method": "list", "values": values}))
    run.space_path.write_text(space_to_yaml(()), encoding="utf-8")
    store_beginning(run, 0, [0, 1, 2])
    found = read_beginning(run)
    assert found is not None
    assert list(found.values) == ["training.learning_rate"]


def test_a_fit_is_watched_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.create(tmp_path, RunRecord())
    with Watch(tmp_path) as watch:
        watch.epoch(report(0, [0.5]), SETTINGS)
    assert capsys.readouterr().err.startswith("epoch 0 (1 of 1000): loss")
    assert json.loads((tmp_path / "run.json").read_text())["search"] == {}
