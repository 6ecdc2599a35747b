"""The worked examples end to end: on the command line and in Python, in a fit and in a search."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import SYSTEM, TINY, options

from lfads_torch.cli.app import run
from lfads_torch.errors import RunError

EXAMPLES = Path(__file__).parents[2] / "examples"
PARTS = {
    "model.generator": "low_rank_generator:LowRankGenerator",
    "low_rank.rank": 2,
    "model.ic_encoder": "transformer_encoder:TransformerEncoder",
    "model.controller_encoder": "transformer_encoder:TransformerEncoder",
    "model.ic_encoder_size": 6,
}
CHOSEN = {**TINY, **PARTS, "training.epochs": 2}
SEARCH = {"search.population": 2, "search.generations": 2, "search.generation_epochs": 1}


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the examples is imported; and the page has no figures, which take seconds."""
    forget()
    monkeypatch.setattr("lfads_torch.analysis.report.render_report", lambda *_, **__: "<html>")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugins") / "tiny.h5"
    assert run(["synth", "lorenz", "--out", str(path), *options(SYSTEM)]) == 0
    return path


def lfads(*arguments: object) -> int:
    return run([str(each) for each in arguments])


def test_a_fit_and_what_comes_after_it(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    path = ("--plugin-path", EXAMPLES)
    assert lfads("fit", recording, "--out", folder, *path, *options(CHOSEN)) == 0
    printed = capsys.readouterr()
    assert "generation by the reference scan, for low_rank_generator:LowRankGenerator" in (
        printed.out + printed.err
    )
    stored = yaml.safe_load((folder / "settings.yaml").read_text())
    assert stored["low_rank"] == {"rank": 2, "time_constant_bins": 5.0}
    assert stored["transformer"] == {"n_heads": 2}
    plugins = json.loads((folder / "run.json").read_text())["plugins"]
    assert plugins[PARTS["model.generator"]]["file"] == str(EXAMPLES / "low_rank_generator.py")

    forget()
    out = tmp_path / "rates.nc"
    assert lfads("infer", folder, recording, "--out", out) == 1  # nobody named the folder
    told = capsys.readouterr().err
    assert "model.generator: 'low_rank_generator:LowRankGenerator' could not be loaded" in told
    assert f"came from {EXAMPLES / 'low_rank_generator.py'}" in told
    assert "--plugin-path" in told
    assert lfads("infer", folder, recording, "--out", out, *path) == 0
    assert out.is_file()


def forget() -> None:
    for name in ("low_rank_generator", "transformer_encoder"):
        sys.modules.pop(name, None)


def test_a_search(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "search"
    chosen = options({**CHOSEN, **SEARCH})
    assert lfads("search", recording, "--out", folder, f"--plugin-path={EXAMPLES}", *chosen) == 0
    assert (folder / "rates.nc").is_file()


def test_in_python(tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfads_torch import LFADS, AutoLFADS

    counts = np.random.default_rng(0).poisson(0.5, (12, 9, 5)).astype(float)
    settings = {name: value for name, value in CHOSEN.items() if name != "run.threads"}
    fitted = LFADS(settings=settings, threads=1, run_folder=tmp_path / "run").fit(
        counts, bin_width_s=0.02
    )
    rates = fitted.transform(counts)
    assert rates.shape == counts.shape
    assert fitted.settings_["low_rank.rank"] == 2
    again = LFADS.load(tmp_path / "run")
    np.testing.assert_array_equal(again.transform(counts), rates)

    search = AutoLFADS(
        settings=settings, population=2, generations=2, generation_epochs=1, threads=1
    )
    found = search.fit(counts, bin_width_s=0.02)
    assert found.transform(counts).shape == counts.shape

    from low_rank_generator import LowRankGenerator

    by_class = LFADS(settings={**settings, "model.generator": LowRankGenerator}, threads=1)
    same = by_class.fit(counts, bin_width_s=0.02)
    assert same.settings_["model.generator"] == "low_rank_generator:LowRankGenerator"
    np.testing.assert_array_equal(same.transform(counts), rates)

    forget()
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(examples)])
    with pytest.raises(RunError, match=r"came from .*low_rank_generator.py"):
        LFADS.load(tmp_path / "run").transform(counts)


def test_a_changed_file_is_told_when_a_run_goes_on(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    source = (EXAMPLES / "low_rank_generator.py").read_text()
    (own / "mine_low_rank.py").write_text(source)
    chosen = {**TINY, "model.generator": "mine_low_rank:LowRankGenerator", "training.epochs": 1}
    folder = tmp_path / "run"
    path = ("--plugin-path", own)
    assert lfads("fit", recording, "--out", folder, *path, *options(chosen)) == 0
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**content, "status": "interrupted"}))
    (own / "mine_low_rank.py").write_text(source + "\n# another line\n")
    sys.modules.pop("mine_low_rank", None)
    capsys.readouterr()
    assert lfads("resume", folder, *path) == 1
    assert "the file of mine_low_rank:LowRankGenerator was another one" in capsys.readouterr().err
    sys.modules.pop("mine_low_rank", None)
