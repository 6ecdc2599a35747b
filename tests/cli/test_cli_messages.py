"""Wrong usage: one message of ours, the right exit code, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY, Lfads, Made, options

from lfads_torch.cli.app import COMMANDS, run
from lfads_torch.errors import OutputError

QUICK = options(TINY)


def assert_one_message(err: str) -> None:
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert err.rstrip().splitlines()[-1].strip()


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


# Each gets the path of a good recording, a finished run, and an empty folder to work in.
Mistake = Callable[[Path, Path, Path], tuple[list[object], list[str]]]


def missing_file(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", folder / "maze.h5"], [str(folder / "maze.h5")]


def folder_as_file(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", "."], ["is a folder; the path of one file is needed"]


def no_cuda(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--device", "cuda", *QUICK],
        ["finds no CUDA device", "--device cpu"],
    )


def no_recording(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    (folder / "notes.txt").write_text("hello")
    return ["check", folder / "notes.txt"], ["notes.txt"]


def unknown_setting(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--set", "training.epoch=3"],
        ["training.epoch (--set) is no setting; did you mean training.epochs?"],
    )


def set_without_value(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--set", "model.n_factors"],
        ["--set 'model.n_factors': needed is section.key=value"],
    )


def bad_preset(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--preset", "smal"],
        ["run.preset (--preset) is the text 'smal'", "did you mean small?"],
    )


def seed_twice(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--seed", 3, "--set", "run.seed=4"],
        ["run.seed is given twice, by --seed and by --set run.seed; keep one."],
    )


def negative_seed(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", recording, "--out", folder / "run", "--seed", "-3"], ["run.seed", "at least 0"]


def no_settings_file(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--out", folder / "run", "--settings", folder / "my.yaml"],
        [f"{folder / 'my.yaml'} cannot be read"],
    )


def split_of_another(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    document = {
        "format": "lfads-torch split",
        "format_version": 1,
        "trials": {"train": [0, 1], "valid": [2, 999]},
    }
    (folder / "other.json").write_text(json.dumps(document))
    return (
        ["fit", recording, "--out", folder / "run", "--split", folder / "other.json"],
        ["other.json", "999"],
    )


def split_and_fraction(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["fit", recording, "--split", folder / "s.json", "--test-fraction", 0.1],
        ["--split", "--test-fraction would draw them anew"],
    )


def fold_without_folds(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", recording, "--fold", 0], [
        "n_folds (--folds K) and fold (--fold i) belong together"
    ]


def fold_too_high(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", recording, "--folds", 3, "--fold", 3], [
        "fold (--fold) is 3; with n_folds (--folds) 3, 0 to 2"
    ]


def taken_folder(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.tex").write_text("x")
    return ["fit", recording, "--out", folder / "taken", *QUICK], ["not empty and is not a run"]


def folder_of_a_run(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["fit", recording, "--out", run, *QUICK], ["holds a run already", "--overwrite"]


def file_as_folder(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    (folder / "file").write_text("x")
    return ["fit", recording, "--out", folder / "file", *QUICK], ["is a file"]


def no_such_run(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["resume", folder / "nothing"], ["there is no such folder"]


def folder_that_is_no_run(
    recording: Path, run: Path, folder: Path
) -> tuple[list[object], list[str]]:
    return ["status", folder], ["is not a run"]


def recording_in_place_of_rates(
    recording: Path, run: Path, folder: Path
) -> tuple[list[object], list[str]]:
    return (
        ["export", recording, "--to", "npz", "--out", folder / "x.npz"],
        ["a rates file of lfads-torch is needed"],
    )


def unknown_figure(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["plot", run, "rate", "--out", folder / "x.png"],
        ["figure: there is no 'rate'. Did you mean 'rates'?"],
    )


def unknown_trial(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["plot", run, "rates", "--trials", "99", "--out", folder / "x.png"],
        ["trial '99' is not in rates.nc"],
    )


def figure_as_gif(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["plot", run, "rates", "--out", folder / "x.gif"], ["ends in .svg, .png or .pdf"]


def plot_of_nothing(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["plot", run], ["lfads plot --list"]


def unknown_system(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["synth", "lorentz", "--out", folder / "x.h5"], ["Did you mean 'lorenz'?"]


def synth_without_out(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["synth", "lorenz"], ["a file to write"]


def synth_setting(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["synth", "lorenz", "--out", folder / "x.h5", "--set", "n_unit=3"],
        ["there is no setting 'n_unit'", "'n_units'"],
    )


def synth_without_value(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["synth", "lorenz", "--out", folder / "x.h5", "--set", "n_units"],
        ["--set 'n_units': needed is key=value"],
    )


def out_in_a_file(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["synth", "demo", "--out", recording / "x.h5", "--set", "n_conditions=2"],
        ["tiny.h5", "a part of the path is a file"],
    )


def fractions_over_one(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return (
        ["split", recording, "--out", folder / "s.json", "--valid-fraction", 1.5],
        ["split.valid_fraction is 1.5"],
    )


def unknown_ids(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["split", recording, "--out", folder / "s.json", "--valid-ids", "3,1000"], ["1000"]


def ids_that_are_no_numbers(
    recording: Path, run: Path, folder: Path
) -> tuple[list[object], list[str]]:
    return (
        ["split", recording, "--out", folder / "s.json", "--valid-ids", "a,b"],
        ["trial id 'a' is no whole number"],
    )


def ids_to_test_alone(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["split", recording, "--out", folder / "s.json", "--test-ids", "1"], ["--valid-ids"]


def other_units(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    np.savez(folder / "other.npz", spikes=np.ones((3, 11, 5), dtype=int))
    return (
        ["infer", run, folder / "other.npz", "--counts", "spikes", "--bin-width", 0.02,
         "--out", folder / "r.nc"],
        ["5 units", "7"],
    )  # fmt: skip


def negative_samples(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["infer", run, "--samples", "-1", "--out", folder / "r.nc"], [
        "n_samples (--samples) is -1"
    ]


def unknown_member(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["infer", run, "--member", "4", "--out", folder / "r.nc"], ["there is no member 4"]


def set_of_no_trials(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    np.savez(folder / "other.npz", spikes=np.ones((3, 11, 7), dtype=int))
    return (
        ["evaluate", run, folder / "other.npz", "--counts", "spikes", "--bin-width", 0.02,
         "--set", "test"],
        ["carries no split"],
    )  # fmt: skip


def one_run_to_compare(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["compare", run], ["at least two different ones"]


def nothing_to_inspect(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["inspect"], ["either a PATH or --system"]


def refit_into_the_run(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["refit", run, "--out", run], ["holds a run already"]


def demo_over_a_fit(recording: Path, run: Path, folder: Path) -> tuple[list[object], list[str]]:
    return ["demo", "--out", run], ["holds a run that is no demonstration"]


def recording_that_cannot_be_fitted(
    recording: Path, run: Path, folder: Path
) -> tuple[list[object], list[str]]:
    np.savez(folder / "negative.npz", spikes=-np.ones((20, 9, 4)))
    return (
        ["fit", folder / "negative.npz", "--counts", "spikes", "--bin-width", 0.01,
         "--out", folder / "run"],
        ["cannot be fitted", "-1"],
    )  # fmt: skip


MISTAKES: list[Mistake] = [
    missing_file, folder_as_file, no_cuda, no_recording, unknown_setting, set_without_value,
    bad_preset, seed_twice,
    negative_seed, no_settings_file, split_of_another, split_and_fraction, fold_without_folds,
    fold_too_high, taken_folder, folder_of_a_run, file_as_folder, no_such_run,
    folder_that_is_no_run, recording_in_place_of_rates, unknown_figure, unknown_trial,
    figure_as_gif, plot_of_nothing, unknown_system, synth_without_out, synth_setting,
    synth_without_value, out_in_a_file, fractions_over_one, unknown_ids,
    ids_that_are_no_numbers, ids_to_test_alone, other_units, negative_samples, unknown_member,
    set_of_no_trials, one_run_to_compare, nothing_to_inspect, refit_into_the_run,
    demo_over_a_fit, recording_that_cannot_be_fitted,
]  # fmt: skip


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_gives_one_message_and_leaves_nothing(
    lfads: Lfads, made: Made, tmp_path: Path, mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)  # wherever the tests run
    arguments, texts = mistake(made.recording, made.run, tmp_path)
    before = everything_in(tmp_path), everything_in(made.recording.parent)
    done = lfads(*arguments)
    assert done.code == 1, done.err
    assert_one_message(done.err)
    for text in texts:
        assert text in done.err
    assert (everything_in(tmp_path), everything_in(made.recording.parent)) == before


@pytest.mark.skipif(
    os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="permissions do not bind the superuser, and are others on Windows",
)
def test_an_unwritable_folder(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        done = lfads("fit", made.recording, "--out", tmp_path / "run", *QUICK)
    finally:
        tmp_path.chmod(0o700)
    assert done.code == 1
    assert "no permission" in done.err


def test_a_full_disk_after_training_can_be_repaired(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.errors import OutputError
    from lfads_torch.workflows import report

    def no_space(*arguments: object, **more: object) -> None:
        raise OutputError("report.html: cannot be written, there is no space left on the disk.")

    folder = Path(shutil.copytree(made.run, tmp_path / "run"))
    (folder / "report.html").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(report, "report_run", no_space)
        done = lfads("resume", folder)
        assert done.code == 1
        assert "no space left" in done.err
        assert (folder / "rates.nc").is_file()
    done = lfads("resume", folder)
    assert done.code == 0
    assert "has finished training already; it lacks report.html" in done.err
    assert (folder / "report.html").is_file()


def test_debugging_shows_where_an_error_came_from(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lfads("status", tmp_path)
    assert "Traceback" not in plain.err
    assert "Traceback" in lfads("--debug", "status", tmp_path).err
    monkeypatch.setenv("LFADS_DEBUG", "1")
    assert "Traceback" in lfads("status", tmp_path).err


def test_a_mistake_of_ours_names_the_file_with_its_traceback(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.workflows.sessions import infer

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("ours")

    folder = Path(shutil.copytree(made.run, tmp_path / "run"))
    monkeypatch.setattr(infer, "inferred_sessions", broken)
    done = lfads("infer", folder, "--out", tmp_path / "r.nc")
    assert done.code == 1
    assert_one_message(done.err)
    assert "failed unexpectedly (ZeroDivisionError: ours)" in done.err
    assert str(folder / "log.txt") in done.err
    assert "raise ZeroDivisionError" in (folder / "log.txt").read_text()


def test_a_mistake_of_ours_without_a_run_goes_to_a_file(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.outputs import inspect

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(inspect, "describe", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = lfads("inspect", tmp_path)
    assert done.code == 1
    (written,) = tmp_path.iterdir()
    assert str(written) in done.err
    assert "ZeroDivisionError" in written.read_text()


def test_control_c_and_memory(
    lfads: Lfads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lfads_torch.outputs import inspect

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    def full(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inspect, "describe", interrupted)
    assert lfads("inspect", tmp_path).code == 130
    monkeypatch.setattr(inspect, "describe", full)
    done = lfads("inspect", tmp_path)
    assert done.code == 1
    assert "memory ran out" in done.err


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


def test_status_and_resume_tell_what_a_finished_run_lacks(
    lfads: Lfads, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise OutputError("rates.nc: the disk is full")

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("lfads_torch.workflows.infer.infer_to_file", fail)
        done = lfads("fit", made.recording, "--out", run, *options(TINY))
    assert done.code == 1
    assert "training is finished and stored" in done.err
    told = lfads("status", run).out
    assert "rates.nc, scores.json, report.html" in told
    assert "results were not written: rates.nc: the disk is full" in told
    assert f"lfads report {run}" in told
    again = lfads("resume", run)
    assert again.code == 0, again.err
    assert "it lacks rates.nc" in again.err
    assert "the disk is full" in again.err
    assert "lfads report" not in lfads("status", run).out
