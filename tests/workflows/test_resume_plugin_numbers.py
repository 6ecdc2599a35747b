"""Runs begun before a plug-in made a setting of its own each member's own number go on."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from run_cases import Watcher, differences, recording, settings
from safetensors import safe_open
from safetensors.torch import save_file

from lfads_torch.config.space import SpaceChoice
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import fit_run, resume_run
from lfads_torch.workflows.kept_models import every_model
from lfads_torch.workflows.search import search_run

PLUGINS = (
    "model.generator=member_parts:LeakyCell",
    "model.initial_condition_prior=member_parts:WidePrior",
    "augmentation.order=member_parts:Fade,coordinated_dropout",
    "leak.share=0.3",
    "training.epochs=3",
    "search.population=3",
    "search.generations=3",
    "search.generation_epochs=1",
    "search.stop_generations=0",
)
NAMES = ("leak.share", "wide.variance", "fade.strength")


def stops(report) -> None:
    if report.epoch == 1:
        signal.raise_signal(signal.SIGTERM)


def fitted(folder: Path) -> RunFolder:
    return fit_run(recording(), settings(*PLUGINS), folder, observer=Watcher(stops))


def searched(folder: Path) -> RunFolder:
    space = SpaceChoice(ranges=("training.learning_rate=0.001..0.01",))
    watcher = Watcher(stops)
    return search_run(recording(), settings(*PLUGINS), folder, choice=space, observer=watcher)


def without_numbers(path: Path) -> None:
    """As the file was when these were settings for all members."""
    with safe_open(path, framework="pt") as stored:
        kept = {n: stored.get_tensor(n) for n in stored.keys() if not n.endswith(NAMES)}  # noqa: SIM118
        assert len(kept) < len(list(stored.keys()))
        metadata = stored.metadata()
    save_file(kept, path, metadata)


@pytest.mark.parametrize("begun", [fitted, searched])
def test_a_number_that_a_state_lacks_is_that_of_the_settings(begun, tmp_path):
    run = begun(tmp_path / "run")
    assert run.read_record().status == "interrupted"
    earlier = RunFolder(Path(shutil.copytree(run.path, tmp_path / "earlier")))
    for path in (earlier.path / "checkpoints").glob("*.safetensors"):
        without_numbers(path)
    assert differences(resume_run(earlier.path), resume_run(run.path)) == []
    for model in every_model(earlier):
        assert model.hyperparameters["leak.share"] == pytest.approx(0.3)
