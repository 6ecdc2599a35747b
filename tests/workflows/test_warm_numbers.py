"""Numbers of plug-ins that come along with the weights of a warm start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.config.space import SpaceChoice
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run
from lfads_torch.workflows.kept_models import every_model, kept_models
from lfads_torch.workflows.search import search_run
from lfads_torch.workflows.stored import read_settings_of
from lfads_torch.workflows.warm_start import WarmStart

PLUGINS = (
    "model.generator=member_parts:LeakyCell",
    "model.initial_condition_prior=member_parts:WidePrior",
    "augmentation.order=member_parts:Fade",
)
SEARCH = (
    "search.population=2", "search.generations=1", "search.generation_epochs=1",
    "search.stop_generations=0",
)  # fmt: skip
RANGES = ("leak.share=0.1..0.9", "wide.variance=0.1..2.0", "fade.strength=0.3..0.9")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("source") / "run"
    given = settings(*PLUGINS, *SEARCH)
    return search_run(recording(), given, folder, choice=SpaceChoice(ranges=RANGES))


def begun(source: RunFolder, folder: Path, *given: str, **wanted) -> tuple[RunFolder, str]:
    watcher = Watcher()
    run = fit_run(
        recording(), settings(*PLUGINS, "training.epochs=1", *given), folder,
        options=FitOptions(start_from=WarmStart(run=source.path, **wanted)), observer=watcher,
    )  # fmt: skip
    return run, next(text for text in watcher.said if text.startswith("weights from"))


def numbers(run: RunFolder) -> dict[str, np.float32]:
    (model,) = every_model(run)
    return {n: np.float32(v) for n, v in model.hyperparameters.items() if n.split(".")[0] in OWN}


OWN = ("leak", "wide", "fade")


@pytest.mark.parametrize("place", [0, 1])
def test_the_numbers_of_the_member_come_with_its_parts(source, tmp_path, place):
    model = kept_models(source)[place]
    run, said = begun(source, tmp_path / "run", member=model.member)
    there = {name: model.hyperparameters[name] for name in ("leak.share", "wide.variance")}
    assert numbers(run) == {**there, "fade.strength": 0.25}
    assert read_settings_of(run).own.per_member()["leak.share"] == pytest.approx(
        there["leak.share"]
    )
    assert "numbers of plug-ins taken along leak.share=0." in said
    record = run.read_record().warm_start
    assert set(record["numbers_taken"]) == set(there)
    assert record["numbers_left"] == {}
    run.set_status("interrupted")
    run.last_checkpoint_path.unlink()
    assert numbers(resume_run(run.path)) == numbers(run)


def test_only_the_numbers_of_parts_that_are_taken_come_along(source, tmp_path):
    run, _ = begun(source, tmp_path / "run", parts=("priors",))
    best = kept_models(source)[0].hyperparameters
    assert numbers(run) == {
        "leak.share": 0.5, "wide.variance": best["wide.variance"], "fade.strength": 0.25,
    }  # fmt: skip


def test_a_number_that_is_given_holds_and_the_other_one_is_told(source, tmp_path):
    run, said = begun(source, tmp_path / "run", "leak.share=0.75")
    assert numbers(run)["leak.share"] == 0.75
    left = run.read_record().warm_start["numbers_left"]
    assert list(left) == ["leak.share"]
    assert f"left there leak.share={left['leak.share']} (here they are given or searched)" in said


def test_a_number_that_is_searched_is_drawn(source, tmp_path):
    options = FitOptions(start_from=WarmStart(run=source.path))
    run = search_run(
        recording(), settings(*PLUGINS, *SEARCH), tmp_path / "run",
        choice=SpaceChoice(ranges=("leak.share=0.02..0.09",)), options=options,
    )  # fmt: skip
    best = kept_models(source)[0].hyperparameters
    for model in every_model(run):
        assert 0.02 <= model.hyperparameters["leak.share"] <= 0.09
        assert model.hyperparameters["wide.variance"] == best["wide.variance"]
    assert list(run.read_record().warm_start["numbers_left"]) == ["leak.share"]
