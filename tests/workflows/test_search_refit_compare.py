"""What is done with a finished search: refitting its best model, comparing it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.errors import DivergenceError, RunError, SettingsError
from lfads_torch.outputs.history_file import read_history, searched_names
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import resume_run
from lfads_torch.workflows.refit import refit_run
from lfads_torch.workflows.replicates import replicates_of
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.stored import members_of, read_settings_of

SEARCH = ("search.population=3", "search.generations=3", "search.generation_epochs=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("search") / "run"
    return search_run(recording(), settings(*SEARCH, "split.test_fraction=0.2"), folder)


def test_a_refit_holds_what_the_best_model_had(run: RunFolder, tmp_path: Path) -> None:
    best = run.read_record().search["best"]
    watcher = Watcher()
    refitted = refit_run(run, tmp_path / "refit", observer=watcher)
    found, wanted = read_settings_of(refitted), best["hyperparameters"]
    # Written in the shortest decimals that give the same float32, which is what trains.
    assert np.float32(found.training.learning_rate) == wanted["training.learning_rate"]
    assert np.float32(found.augmentation.dropout_rate) == wanted["augmentation.dropout_rate"]
    assert np.float32(found.loss.kl_input_scale) == wanted["loss.kl_input_scale"]
    assert found.loss.kl_scale_unit == "published"
    assert found.training.epochs == best["epoch"] + 1
    assert refitted.read_record().beta["inputs"] == pytest.approx(
        run.read_record().beta["inputs"], rel=1e-6
    )
    assert any("held from the start" in text for text in watcher.said)


def test_a_search_is_compared_as_its_best_model(run: RunFolder) -> None:
    assert len(members_of(run)) > 1
    for members in ("all", "best"):
        (one,) = replicates_of(run, which_set="valid", recording=None, members=members)
        assert one.member == run.read_record().search["best"]["member"]
        assert one.seed == "4/search"


def test_members_of_a_random_search_differ_in_everything_searched(tmp_path: Path) -> None:
    run = search_run(
        recording(), settings(*SEARCH, "search.method=random", "search.generations=1"),
        tmp_path / "run",
    )  # fmt: skip
    rows = read_history(run.history_path)
    for name in searched_names(rows):
        assert len({row[name] for row in rows}) == len(rows), name


def test_a_list_cannot_begin_with_halving(tmp_path: Path) -> None:
    given = settings("search.method=list", "search.start=halving")
    with pytest.raises(SettingsError, match="more members than the list has lines"):
        search_run(recording(), given, tmp_path / "run", values=({"training.beta1": 0.8},))
    assert not (tmp_path / "run").exists()


def test_a_search_whose_state_is_gone_loses_nothing_more(tmp_path: Path) -> None:
    run = search_run(recording(), settings(*SEARCH), tmp_path / "run")
    before = (run.history_path.read_bytes(), run.best_checkpoint_path.read_bytes())
    run.last_checkpoint_path.unlink()
    run.set_status("interrupted")
    with pytest.raises(RunError, match="is gone"):
        resume_run(run.path)
    assert before == (run.history_path.read_bytes(), run.best_checkpoint_path.read_bytes())


def test_a_search_that_diverges_says_so_in_its_record(tmp_path: Path) -> None:
    given = settings(*SEARCH, "training.max_gradient_norm=1e30")
    values = ({"training.learning_rate": 1e30},)
    given = replace(given, search=replace(given.search, method="list"))
    with pytest.raises(DivergenceError, match="had left the finite numbers"):
        search_run(recording(), given, tmp_path / "run", values=values)
    record = RunFolder.open(tmp_path / "run").read_record()
    assert (record.status, record.search["stop"]) == ("failed", "diverged")
    assert record.search["member_epochs"] >= 1
