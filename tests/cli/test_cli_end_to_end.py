"""The commands on a tiny synthetic recording: files, exit codes, what is printed where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
from command_line import TINY, Lfads, Made, options

SOURCE = Path(__file__).parents[2] / "src"
RESULTS = ("rates.nc", "scores.json", "report.html")


def test_a_fit_leaves_rates_scores_page_and_log(made: Made) -> None:
    for name in (*RESULTS, "log.txt", "settings.yaml", "split.json", "metrics.jsonl"):
        assert (made.run / name).stat().st_size > 0, name
    assert not list(made.run.rglob("*.part*"))
    scores = json.loads((made.run / "scores.json").read_text())
    assert scores["set"] == "test"
    assert scores["n_trials"] == 3
    lines = (made.run / "log.txt").read_text().splitlines()
    assert all(line[:2] == "20" for line in lines)  # each has its time
    assert any("preset small" in line for line in lines)
    assert any("epoch 2 (3 of 3): loss" in line for line in lines)
    assert any("writing" in line and "report.html" in line for line in lines)


def test_the_end_of_a_fit_says_where_everything_is(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    run = tmp_path / "again"
    done = lfads("fit", made.recording, "--out", run, *options(TINY), "--set", "training.epochs=2")
    assert done.code == 0, done.err
    for name in RESULTS:
        assert str(run / name) in done.out
    assert "true rates r2" in done.out
    assert "(test set)" in done.out
    assert "epoch 1 (2 of 2)" in done.err
    assert "kernels:" in done.err


def test_quiet_prints_the_results_alone(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    source = shutil.copy(made.recording, tmp_path / "session 1.h5")
    done = lfads("fit", source, "--quiet", *options(TINY), "--set", "training.epochs=1")
    assert (done.code, done.err) == (0, "")
    run = tmp_path / "session 1_run"  # the default: beside the file, named after it
    assert [line.split(": ", 1)[1].strip() for line in done.out.splitlines()] == [
        str(run),
        *(str(run / name) for name in RESULTS),
    ]


def test_without_out_the_folder_is_named_after_the_file(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    source = shutil.copy(made.recording, tmp_path / "maze.h5")
    done = lfads("fit", source, "--set", "training.epochs=0")
    assert done.code == 1
    assert "training.epochs (--set) is 0" in done.err
    done = lfads("fit", source, "--preset", "small", "--split", tmp_path / "none.json")
    assert f"no --out: the run goes to {tmp_path / 'maze_run'}" in done.err
    assert not (tmp_path / "maze_run").exists()


def test_a_population_and_the_options_that_stand_for_settings(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    run = tmp_path / "population"
    done = lfads(
        "fit", made.recording, "--out", run, *options(TINY), "--set", "training.epochs=2",
        "--seeds", 3, "--seed", 11, "--device", "cpu", "--test-fraction", 0.15,
        "--held-out", 0.3, "--kernels", "reference",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "split is replaced, as --test-fraction, --held-out ask for" in done.err
    assert "of 3: loss" in done.err
    record = json.loads((run / "run.json").read_text())
    assert (record["seed"], record["n_members"], record["backend"]) == (11, 3, "reference")
    split = json.loads((run / "split.json").read_text())
    assert len(split["held_out_units"]) == 2
    assert len(split["trials"]["test"]) == 4
    assert "co smoothing" in done.out


def test_fit_on_a_split_file_and_on_a_fold(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    target = tmp_path / "folds.json"
    done = lfads("split", made.recording, "--out", target, "--folds", 3, "--seed", 2)
    assert done.code == 0, done.err
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["folds_0.json", "folds_1.json", "folds_2.json"]
    tested = [json.loads(path.read_text())["trials"]["test"] for path in files]
    assert sorted(trial for trials in tested for trial in trials) == list(range(27))
    assert f"{files[0]}: train 14, valid 4, test 9" in done.out

    run = tmp_path / "run"
    quick = [*options(TINY), "--set", "training.epochs=1", "--set", "loss.kl_ramp_increase=0"]
    done = lfads("fit", made.recording, "--out", run, *quick, "--split", files[1])
    assert done.code == 0, done.err
    assert json.loads((run / "split.json").read_text())["trials"]["test"] == tested[1]
    done = lfads(
        "fit", made.recording, "--out", run, "--overwrite", *quick,
        "--folds", 3, "--fold", 2, "--set", "split.seed=2",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads((run / "split.json").read_text())["trials"]["test"] == tested[2]


def test_split_by_ids(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    target = tmp_path / "split.json"
    done = lfads(
        "split", made.recording, "--out", target, "--valid-ids", "3, 5", "--test-ids", "7",
        "--held-out-ids", "0,6",
    )  # fmt: skip
    assert done.out.strip() == f"{target}: train 24, valid 2, test 1, 2 units held out"
    assert json.loads(target.read_text())["trials"]["valid"] == [3, 5]


def test_split_holds_out_units_by_the_option_of_every_command(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    files = {}
    for option in ("--held-out", "--held-out-fraction"):
        files[option] = tmp_path / f"split{option}.json"
        done = lfads("split", made.recording, "--out", files[option], option, 0.25)
        assert done.code == 0, done.err
        assert "2 units held out" in done.out
    first, second = (path.read_text() for path in files.values())
    assert first == second


def test_check_says_what_it_found_and_how_it_ends(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    done = lfads("check", made.recording)
    assert done.code == 0
    assert "27 x 11 x 7" in done.out
    assert "few_training_trials" in done.out
    assert "preset small" in done.err
    found = json.loads(lfads("check", made.recording, "--json").out)
    assert found["format"] == "lfads-torch check"
    assert found["summary"]["n_units"] == 7
    bigger = lfads("check", made.recording, "--json", "--set", "model.generator_size=900")
    estimate = "flops_per_step"
    assert json.loads(bigger.out)["estimate"][estimate] > found["estimate"][estimate]

    counts = np.zeros((12, 9, 4))
    np.savez(tmp_path / "silent.npz", spikes=counts)
    done = lfads("check", tmp_path / "silent.npz", "--counts", "spikes", "--bin-width", 0.01)
    assert done.code == 1
    assert "no_spikes" in done.out


def test_check_of_too_few_trials_is_a_finding(lfads: Lfads, tmp_path: Path) -> None:
    counts = np.random.Generator(np.random.Philox(1)).poisson(1.0, (1, 20, 5))
    np.savez(tmp_path / "one.npz", spikes=counts)
    done = lfads("check", tmp_path / "one.npz", "--counts", "spikes", "--bin-width", 0.01)
    assert done.code == 1
    assert "1 x 20 x 5" in done.out
    assert "leave none to train on" in done.err


def test_status_tells_progress(lfads: Lfads, made: Made) -> None:
    done = lfads("status", made.run)
    assert done.code == 0
    assert "finished" in done.out
    assert "3 of at most 3" in done.out
    found = json.loads(lfads("status", made.run, "--json").out)
    assert (found["status"], found["n_epochs"]) == ("finished", 3)


def test_infer_on_the_own_and_on_a_new_recording(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    own = tmp_path / "own.nc"
    moved = shutil.copy(made.recording, tmp_path / "moved.h5")
    assert lfads("infer", made.run, moved, "--out", own).code == 0
    with xarray.open_dataset(own) as again, xarray.open_dataset(made.run / "rates.nc") as first:
        np.testing.assert_array_equal(again["rates"].values, first["rates"].values)
        assert again["trial_set"].values.tolist() == first["trial_set"].values.tolist()

    other = tmp_path / "other.npz"
    counts = np.random.Generator(np.random.Philox(5)).poisson(0.3, (4, 11, 7))
    np.savez(other, spikes=counts, bin_width_s=0.02)
    new = tmp_path / "new.nc"
    done = lfads(
        "infer", made.run, other, "--counts", "spikes", "--bin-width", 0.02, "--out", new,
        "--samples", 0, "--generator-states",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.strip() == str(new)
    with xarray.open_dataset(new) as found:
        assert found["trial_set"].values.tolist() == ["new"] * 4
        assert found["generator_states"].shape == (4, 11, 6)
        assert "rate_posterior_std" not in found
    assert lfads("infer", made.run, "--out", own, "--samples", 7).code == 0
    with xarray.open_dataset(own) as found:
        assert found.attrs["n_posterior_samples"] == 7


def test_evaluate_prints_a_table_or_json(lfads: Lfads, made: Made) -> None:
    quick = ("--bootstrap", 20, "--masks", 2)
    done = lfads("evaluate", made.run, "--set", "valid", *quick)
    assert done.code == 0, done.err
    assert "used for selection" in done.out
    assert "behaviour r2" in done.out.split("not applicable:")[1]
    found = json.loads(lfads("evaluate", made.run, "--json", *quick).out)
    assert (found["set"], found["n_trials"]) == ("test", 3)
    with_file = json.loads(lfads("evaluate", made.run, made.recording, "--json", *quick).out)
    assert with_file["scores"] == found["scores"]
    assert with_file["is_new_recording"] is False


def test_evaluate_a_new_recording(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    counts = np.random.Generator(np.random.Philox(6)).poisson(0.3, (5, 11, 7))
    np.savez(tmp_path / "other.npz", spikes=counts)
    done = lfads(
        "evaluate", made.run, tmp_path / "other.npz", "--counts", "spikes", "--bin-width", 0.02,
        "--json", "--bootstrap", 20, "--masks", 2,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["set"], found["n_trials"], found["is_new_recording"]) == ("new", 5, True)


def test_plot_as_the_name_ends(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    starts = {"pdf": b"%PDF", "svg": b"<?xml"}
    for kind, start in starts.items():
        target = tmp_path / f"figure.{kind}"
        done = lfads("plot", made.run, "rates", "--trials", "3,7", "--units", "1", "--out", target)
        assert done.code == 0, done.err
        assert target.read_bytes().startswith(start)
    assert "loss_curves" in lfads("plot", "--list").out


@pytest.mark.parametrize("kind", ["mat", "npz", "csv"])
def test_export_beside_the_rates_or_where_asked(
    lfads: Lfads, made: Made, tmp_path: Path, kind: str
) -> None:
    rates = shutil.copy(made.run / "rates.nc", tmp_path / "rates.nc")
    done = lfads("export", rates, "--to", kind)
    assert done.code == 0, done.err
    assert (tmp_path / f"rates.{kind}").is_file()
    assert str(tmp_path / f"rates.{kind}") in done.out
    assert lfads("export", rates, "--to", kind, "--out", tmp_path / f"mine.{kind}").code == 0
    assert (tmp_path / f"mine.{kind}").is_file()


def test_inspect_anything(lfads: Lfads, made: Made) -> None:
    assert "finished" in lfads("inspect", made.run).out
    assert "contents.counts" in lfads("inspect", made.recording).out
    found = json.loads(lfads("inspect", made.run / "rates.nc", "--json").out)
    assert found["what"] == "rates"
    system = lfads("inspect", "--system")
    assert system.code == 0
    assert "kernels" in system.out
    assert "versions.torch" in system.out


def test_compare_and_refit(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    other = tmp_path / "other"
    quick = [*options(TINY), "--set", "model.n_factors=2", "--quiet"]
    assert lfads("fit", made.recording, "--out", other, *quick).code == 0
    done = lfads("compare", made.run, other, "--bootstrap", 20, "--masks", 2)
    assert done.code == 0, done.err
    assert "verdict" in done.out
    assert "setting model.n_factors: 3 in tiny_run, 2 in other" in done.err
    found = json.loads(
        lfads("compare", made.run, other, "--json", "--bootstrap", 20, "--masks", 2).out
    )
    assert found["set"] == "test"

    everything = tmp_path / "everything"
    done = lfads("refit", made.run, "--all-trials", "--out", everything)
    assert done.code == 0, done.err
    assert "there is no validation set" in done.err
    assert len(json.loads((everything / "split.json").read_text())["trials"]["train"]) == 27
    assert (everything / "report.html").is_file()
    assert "(train set)" in done.out


def test_synth_lists_its_systems_and_is_seeded(lfads: Lfads, tmp_path: Path) -> None:
    listing = lfads("synth", "--list").out
    assert "chaotic-pulses: " in listing
    assert "n_units=30" in listing
    few = ("--set", "n_conditions=2", "--set", "n_steps=40", "--set", "n_trials_per_condition=5")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert lfads("synth", "lorenz", "--out", tmp_path / name, "--seed", seed, *few).code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_prepare_cuts_spike_times(lfads: Lfads, tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.Philox(3))
    spikes = np.sort(rng.uniform(0, 20, 900))
    np.savez(
        tmp_path / "session.npz",
        spike_times=spikes,
        spike_units=rng.integers(0, 4, 900),
        go=np.arange(1.0, 19.0, 1.5),
    )
    target = tmp_path / "trials.h5"
    done = lfads(
        "prepare", tmp_path / "session.npz", "--out", target, "--event", "go",
        "--window", "-0.2", "0.4", "--bin-width", 0.05,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.strip() == f"{target}: 12 trials, 12 bins of 50 ms, 4 units"


def test_prepare_of_counts_asks_for_the_width_of_the_source(lfads: Lfads, tmp_path: Path) -> None:
    np.savez(tmp_path / "trials.npz", spikes=np.ones((3, 8, 2), dtype=int))
    command = ("prepare", tmp_path / "trials.npz", "--counts", "spikes", "--bin-width", 0.02)
    done = lfads(*command, "--out", tmp_path / "out.h5")
    assert done.code == 1
    assert "--source-bin-width" in done.err
    done = lfads(*command, "--source-bin-width", 0.01, "--out", tmp_path / "out.h5")
    assert "3 trials, 4 bins of 20 ms" in done.out


def test_report_repairs_a_run_that_lacks_its_page(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made.run, tmp_path / "run"))
    (run / "report.html").unlink()
    done = lfads("report", run)
    assert done.out.strip() == str(run / "report.html")
    assert (run / "report.html").read_text() == "<!doctype html>"
    (run / "rates.nc").unlink()
    done = lfads("report", run, "--data", made.recording)
    assert "rates.nc" in done.err
    assert (run / "rates.nc").is_file()


def test_the_commands_work_in_a_process_of_their_own(made: Made, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "ascii"}
    for arguments, code in (
        (("status", made.run), 0),
        (("compare", "--help"), 0),
        (("statu", made.run), 2),
        (("status", tmp_path / "nothing"), 1),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lfads_torch", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert ("error: " in done.stderr) == (code != 0)
