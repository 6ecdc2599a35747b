"""Wrong usage: one message that names what is meant, and exit code 2; help for every command."""

from __future__ import annotations

import pytest
from command_line import Lfads, assert_one_message

from lfads_torch.cli.app import COMMANDS, run

WRONG_USAGE = [
    (
        ["fti", "maze.h5"],
        ["there is no command 'fti'; did you mean fit?", "add-session, leave-one-out, resume"],
    ),
    (["nonsense"], ["there is no command 'nonsense'."]),
    (["fit"], ["lfads fit: FILE is missing.", "lfads fit --help"]),
    (["fit", "a.h5", "--overwite"], ["there is no option --overwite; did you mean --overwrite?"]),
    (["fit", "a.h5", "--learning-rate", "1"], ["did you mean --set training.learning_rate=...?"]),
    (["fit", "a.h5", "--lr=1"], ["there is no option --lr; did you mean --set training.learning"]),
    (["fit", "a.h5", "--device", "gpu"], ["--device is 'gpu'; one of auto, cpu, cuda is needed"]),
    (["fit", "a.h5", "--kernels", "referense"], ["did you mean reference?"]),
    (["fit", "a.h5", "--seeds", "three"], ["--seeds is 'three'; a whole number is needed."]),
    (["fit", "a.h5", "--test-fraction", "x"], ["--test-fraction is 'x'; a number is needed."]),
    (["fit", "a.h5", "--out"], ["lfads fit: --out needs a value."]),
    (["fit", "a.h5", "--out", "b", "--out", "c"], ["--out is given twice; keep one."]),
    (["status", "a", "b"], ["lfads status: 'b' is more than this command takes."]),
    (["export", "rates.nc"], ["lfads export: --to is missing."]),
    (["export", "rates.nc", "--to", "xlsx"], ["--to is 'xlsx'; one of mat, npz, csv is needed"]),
    (["infer", "run", "maze.h5"], ["lfads infer: --out is missing."]),
    (["prepare", "a.npz", "--out", "b.h5", "--window", "0.1"], ["--window needs 2 values."]),
    (["prepare", "a.npz", "--out", "b.h5", "--overlap", "dropp"], ["did you mean drop?"]),
    (["evaluate", "run", "--set", "tets"], ["--set is 'tets'; one of train, valid, test, all"]),
    (["compare", "a", "b", "--members", "bets"], ["did you mean best?"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "texts"), WRONG_USAGE, ids=lambda value: " ".join(value))
def test_wrong_usage(lfads: Lfads, arguments: list[str], texts: list[str]) -> None:
    done = lfads(*arguments)
    assert (done.code, done.out) == (2, "")
    assert_one_message(done.err)
    for text in texts:
        assert text in done.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"Usage: lfads {command}" in printed
    assert COMMANDS[command] in " ".join(printed.split())


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert all(f" {command} " in printed for command in COMMANDS)
