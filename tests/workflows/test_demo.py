"""The demonstration: it replaces only its own folder, and says whether rates follow the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.demo import NEEDED_R2, DemoOutcome, DemoRequest, run_demo
from lfads_torch.workflows.fit import Quiet

SMALL = (
    "model.ic_encoder_size=5", "model.controller_encoder_size=4", "model.controller_size=4",
    "model.generator_size=6", "training.epochs=2", "loss.kl_ramp_increase=0",
    "loss.l2_ramp_increase=0", "inference.n_samples=2", "search.population=2",
    "search.generations=2", "search.generation_epochs=1",
)  # fmt: skip
SYSTEM = (("n_conditions", "4"), ("n_trials_per_condition", "8"), ("n_units", "6"),
          ("n_steps", "200"))  # fmt: skip


@pytest.fixture(autouse=True)
def quick_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *a, **k: "<p>")


def test_a_demo_that_hardly_trained_is_told_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    outcome = run_demo(DemoRequest(folder=folder, overrides=SMALL, system=SYSTEM), Quiet())
    assert outcome.valid_r2 is not None
    assert outcome.valid_r2 < NEEDED_R2
    assert not outcome.follows_truth
    results = ("rates.nc", "scores.json", "report.html", "history.csv")
    assert all((folder / name).is_file() for name in results)
    assert outcome.run.read_record().search["generations"] == 2
    assert (folder / "recording.h5").is_file()  # it needs no other file

    (folder / "mine.txt").write_text("kept")
    request = DemoRequest(folder=folder, seed=3, overrides=SMALL, system=SYSTEM)
    again = run_demo(request, Quiet())
    assert again.run.read_record().seed == 3
    assert again.valid_r2 != outcome.valid_r2
    assert (folder / "mine.txt").read_text() == "kept"


def test_another_run_is_never_replaced(tmp_path: Path) -> None:
    from lfads_torch.config.read import read_settings
    from lfads_torch.workflows.fit import FitOptions, fit_run

    recording = synthesise("demo", 0, **dict(SYSTEM))
    settings = read_settings(preset="demo", overrides=SMALL)
    options = FitOptions(command=("lfads", "fit", "maze.h5"))
    fit_run(recording, settings, tmp_path / "run", options=options)
    with pytest.raises(RunError, match=r"no demonstration \(`lfads fit maze.h5`\)"):
        run_demo(DemoRequest(folder=tmp_path / "run"), Quiet())


@pytest.mark.parametrize(("found", "follows"), [(None, False), (0.59, False), (0.6, True)])
def test_what_counts_as_following(tmp_path: Path, found: float | None, follows: bool) -> None:
    assert DemoOutcome(run=RunFolder(tmp_path), valid_r2=found).follows_truth is follows


@pytest.mark.slow
def test_the_demo_follows_the_truth(tmp_path: Path) -> None:
    outcome = run_demo(DemoRequest(folder=tmp_path / "demo", seed=1), Quiet())
    assert outcome.follows_truth
