"""Mistakes in files and values: one message of ours, exit code 1, nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import TINY, Lfads, Made, assert_one_message, options

QUICK = options(TINY)
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
