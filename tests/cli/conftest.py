"""A tiny recording and a run on it, made once by the command line itself."""

from __future__ import annotations

import pytest
from command_line import SYSTEM, TINY, Lfads, Made, Outcome, options

from lfads_torch.cli.app import run


@pytest.fixture
def lfads(capsys: pytest.CaptureFixture[str]) -> Lfads:
    """Run a command in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(each) for each in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture(autouse=True)
def quick_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page without its figures, which take seconds; `made` has the whole one."""

    def page(*arguments: object, **more: object) -> str:
        return "<!doctype html>"

    monkeypatch.setattr("lfads_torch.analysis.report.render_report", page)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("cli")
    recording, trained = folder / "tiny.h5", folder / "tiny_run"
    assert run(["synth", "lorenz", "--out", str(recording), *options(SYSTEM)]) == 0
    assert run(["fit", str(recording), "--out", str(trained), *options(TINY)]) == 0
    return Made(recording, trained)
