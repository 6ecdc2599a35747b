"""What is done with a finished search: refitting its best model, comparing it."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.outputs.run_folder import RunFolder
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
    assert found.training.learning_rate == wanted["training.learning_rate"]
    assert found.augmentation.dropout_rate == wanted["augmentation.dropout_rate"]
    assert found.loss.kl_input_scale == wanted["loss.kl_input_scale"]
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
