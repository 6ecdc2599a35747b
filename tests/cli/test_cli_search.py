"""`lfads search` on a tiny recording: files, messages, resuming, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from command_line import TINY, Lfads, Made, options

from lfads_torch.cli.app import run
from lfads_torch.cli.watch import Watch
from lfads_torch.search.history import GenerationReport

TINY_MODEL = options({name: TINY[name] for name in TINY if name != "training.epochs"})
ONE_EPOCH = ["--generation-epochs", "1"]
TINY_SEARCH = [*TINY_MODEL, *ONE_EPOCH, "--population", "3", "--generations", "2"]
RATE = "training.learning_rate"


def history_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, which no test may change."""
    folder = tmp_path_factory.mktemp("search") / "found"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lfads_torch.analysis.report.render_report", lambda *a, **b: "<!doctype html>"
        )
        assert run(["search", str(made.recording), "--out", str(folder), *TINY_SEARCH]) == 0
    return folder


def test_a_search_leaves_its_history_its_space_and_results(searched: Path) -> None:
    for name in ("rates.nc", "scores.json", "report.html", "history.csv", "space.yaml"):
        assert (searched / name).stat().st_size > 0, name
    rows = history_of(searched)
    assert [(row["generation"], row["member"]) for row in rows] == [
        (generation, member) for generation in "01" for member in "012"
    ]
    assert {row["outcome"] for row in rows[3:]} == {"last"}
    space = yaml.safe_load((searched / "space.yaml").read_text())
    assert set(space) <= set(rows[0])
    assert json.loads((searched / "run.json").read_text())["search"]["generations"] == 2


def test_every_generation_is_a_line(searched: Path) -> None:
    lines = (searched / "log.txt").read_text().splitlines()
    told = [line for line in lines if " generation " in line and "best score" in line]
    assert [line.split(" ", 1)[1].split(":")[0] for line in told] == [
        "generation 0 (1 of at most 2)",
        "generation 1 (2 of at most 2)",
    ]
    assert "1 of 3 replaced" in told[0]
    assert "epochs in" in told[0]


def test_status_and_inspect_show_a_search(lfads: Lfads, searched: Path) -> None:
    told = lfads("status", searched).out
    for text in (
        "population of 3 members", "2 of at most 2", "best score", "its line began in member",
        "history.csv", "space.yaml", RATE,
    ):  # fmt: skip
        assert text in told
    found = json.loads(lfads("status", searched, "--json").out)["search"]
    best = min(float(row["best_score"]) for row in history_of(searched) if row["best_score"])
    assert found["best"]["score"] == best
    assert (found["method"], found["generations"], found["frozen"]) == ("population", 2, {})
    assert "search.best.score" in lfads("inspect", searched).out
    told = lfads("inspect", searched / "history.csv").out
    assert "history of a search" in told
    assert "n_generations  2" in told
    told = lfads("inspect", searched / "space.yaml").out
    assert "search space" in told
    assert "1e-05 .. 0.005, first 0.004" in told


def test_a_fit_has_no_search_to_show(lfads: Lfads, made: Made) -> None:
    assert json.loads(lfads("status", made.run, "--json").out)["search"] is None
    assert "lowest score" in lfads("status", made.run).out


def test_without_out_the_folder_is_named_after_the_file(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    source = shutil.copy(made.recording, tmp_path / "maze.h5")
    done = lfads("search", source, *TINY_SEARCH, "--split", tmp_path / "none.json")
    assert done.code == 1
    assert f"no --out: the run goes to {tmp_path / 'maze_search'}" in done.err
    assert not (tmp_path / "maze_search").exists()


def test_interrupted_and_resumed_it_ends_as_if_it_had_not_been(
    lfads: Lfads, made: Made, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "interrupted"
    watched = Watch.generation

    def interrupt(self: Watch, report: GenerationReport, settings: object) -> None:
        watched(self, report, settings)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watch, "generation", interrupt)
    command = ("search", made.recording, "--out", folder, *TINY_SEARCH)
    done = lfads(*command)
    assert done.code == 130
    assert f"lfads resume {folder}" in done.err
    assert len(history_of(folder)) == 3
    assert "1 of at most 2" in lfads("status", folder).out
    monkeypatch.setattr(Watch, "generation", watched)
    done = lfads(*command, "--resume-if-exists")
    assert done.code == 0, done.err
    assert "resumed after epoch" in done.err
    assert (folder / "history.csv").read_text() == (searched / "history.csv").read_text()
    assert str(folder / "history.csv") in done.out
    done = lfads("resume", folder)
    assert done.code == 0
    assert "has finished training already" in done.err


def test_what_is_searched_can_be_chosen(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "chosen"
    done = lfads(
        "search", made.recording, "--out", folder, *TINY_SEARCH, "--method", "random", "--seed", 5,
        "--set", f"{RATE}=0.002", "--keep", RATE, "--keep", "augmentation.dropout_rate",
        "--search", "training.weight_decay=1e-6..1e-3",
        "--search", "loss.l2_generator_scale=1e-3..1e-2,first=uniform",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "the given value does not hold" not in done.err
    space = yaml.safe_load((folder / "space.yaml").read_text())
    assert not {RATE, "augmentation.dropout_rate"} & set(space)
    assert space["training.weight_decay"]["first"] == "log_uniform"
    rows = history_of(folder)
    assert RATE not in rows[0]
    drawn = [float(row["loss.l2_generator_scale"]) for row in rows[:3]]
    assert len(set(drawn)) == 3
    assert all(1e-3 <= value <= 1e-2 for value in drawn)
    again = [float(row["loss.l2_generator_scale"]) for row in rows[3:]]
    assert again == drawn  # random search changes nothing
    best = json.loads((folder / "run.json").read_text())["search"]["best"]
    assert best["hyperparameters"][RATE] == pytest.approx(0.002)


def test_the_space_of_one_search_serves_another_and_halving_begins_with_more(
    lfads: Lfads, made: Made, searched: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "halved"
    done = lfads(
        "search", made.recording, "--out", folder, *TINY_SEARCH, "--start", "halving",
        "--set", "search.halving_factor=2", "--set", "search.halving_epochs=1",
        "--space", searched / "space.yaml", "--selection", "truncation",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "halving round 1 of 1: best score" in done.err
    assert "3 of 6 dropped" in done.err
    assert "after 1 rounds of halving" in lfads("status", folder).out
    assert (folder / "space.yaml").read_text() == (searched / "space.yaml").read_text()
    rows = history_of(folder)
    assert [row["generation"] for row in rows] == ["-1"] * 6 + ["0"] * 3 + ["1"] * 3


def test_a_list_gives_the_members(lfads: Lfads, made: Made, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"{RATE},training.weight_decay\n1e-3,0\n2e-3,1e-4\n")
    folder = tmp_path / "listed"
    done = lfads(
        "search", made.recording, "--out", folder, *TINY_MODEL, *ONE_EPOCH,
        "--generations", 1, "--list", tmp_path / "list.csv", "--ensemble", 2,
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((folder / "run.json").read_text())
    assert record["search"]["method"] == "list"
    assert [each[RATE] for each in record["search"]["values"]] == [1e-3, 2e-3]
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    assert (settings["search"]["population"], settings["inference"]["ensemble"]) == (2, 2)


def test_a_value_that_is_given_and_searched_is_told(
    lfads: Lfads, made: Made, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = lfads(
        "search", made.recording, "--out", folder, *TINY_SEARCH, "--set", f"{RATE}=0.002",
    )  # fmt: skip
    assert f"{RATE}: given, but searched, so the given value does not hold; --keep" in done.err


WRONG = [
    (["--search", "model.lr_init=1..2"], "is no setting; did you mean training.learning_rate?"),
    (["--search", "learning rate"], "needed is NAME=LOW..HIGH"),
    (["--search", f"{RATE}=1..0.1"], "the range 1..0.1 is empty"),
    (["--search", f"{RATE}=0..0.1"], "low is 0; the setting must be above 0"),
    (["--search", "model.n_factors=2..9"], "it changes the shapes of the tensors"),
    (["--search", "model.n_factors=2..9"], "compare them with `lfads compare`"),
    (["--keep", "drop_out"], "drop_out (--keep) is no setting"),
    (["--population", "0"], "search.population (--set) is 0; needed is a whole number, at least 1"),
    (["--generations", "0"], "search.generations (--set) is 0"),
    (["--selection", "rouletta"], "search.selection: there is no 'rouletta'"),
    (["--method", "list"], "search.method is list, but no list was given"),
    (["--list", "WRONG.csv"], "rate (WRONG.csv) is no setting"),
    (["--list", "none.csv"], "none.csv cannot be read"),
    (["--list", "WRONG.csv", "--population", "2"], "gives every member and its values; --populati"),
    (["--space", "settings.yaml"], "model (settings.yaml, line 1) is no setting"),
    (["--space", "none.yaml"], "none.yaml cannot be read"),
    (["--space", "tiny.h5"], "tiny.h5 is not a text file in UTF-8"),
    (["--set", "search.halving_factor=3"], "search.halving_factor is 3; needed is a power of two"),
    (
        ["--set", "search.populaton=3"],
        "search.populaton (--set) is no setting; did you mean search",
    ),
    (["--ensemble", "0"], "inference.ensemble (--set) is 0"),
    (["--population", "4", "--set", "search.population=5"], "search.population is given twice, by"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_searched_is_refused_and_nothing_is_written(
    arguments: list[str],
    message: str,
    lfads: Lfads,
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(made.recording, "tiny.h5")
    shutil.copy(made.run / "settings.yaml", "settings.yaml")
    Path("WRONG.csv").write_text("generation,member,rate\n0,0,1\n")
    before = sorted(tmp_path.iterdir())
    done = lfads("search", "tiny.h5", "--out", "run", *TINY_MODEL, *arguments)
    assert done.code == 1
    assert message in done.err
    assert "error: " in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "sideways"], "--start is 'sideways'; one of all, halving is needed"),
        (["--method", "populaton"], "did you mean population?"),
        (["--population", "many"], "--population is 'many'; a whole number is needed"),
        (["--serch", "x=1..2"], "--serch"),
    ],
)
def test_wrong_usage_of_search(
    arguments: list[str], message: str, lfads: Lfads, made: Made
) -> None:
    done = lfads("search", made.recording, *arguments)
    assert done.code == 2
    assert message in done.err
