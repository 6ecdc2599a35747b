"""A run whose kernels are wrong trains nothing, says so, and can go on with others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from run_cases import Watcher, recording, settings

from lfads_torch.errors import KernelError
from lfads_torch.kernels import choose
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run

LIBRARY = find_library()


@pytest.fixture
def wrong_kernels(monkeypatch):
    """What runs by itself has encoder states that are a fifth too large."""
    usual = choose._fastest

    def broken(*arguments):
        found = usual(*arguments)
        return replace(
            found,
            name=f"{found.name}-wrong",
            gru_scan=lambda *given, **options: 1.2 * found.gru_scan(*given, **options),
        )

    monkeypatch.setattr(choose, "_fastest", broken)


def test_wrong_kernels_train_nothing_and_the_run_goes_on_with_others(wrong_kernels, tmp_path):
    with pytest.raises(
        KernelError,
        match=r"does not compute what the reference does.*resume .* --kernels portable` goes on",
    ):
        fit_run(recording(), settings(), tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    record = run.read_record()
    assert record.status == "failed"
    assert "portable" in record.reason
    assert not run.metrics.read()
    resumed = resume_run(tmp_path / "run", options=FitOptions(kernels="portable"))
    assert resumed.read_record().status == "finished"
    assert resumed.read_record().backend == "portable"


@pytest.mark.skipif(
    isinstance(LIBRARY, Absent), reason=getattr(LIBRARY, "reason", "there is a library")
)
def test_a_run_says_that_its_kernels_were_checked(tmp_path):
    watcher = Watcher()
    fit_run(recording(), settings("training.epochs=1"), tmp_path / "run", observer=watcher)
    told = [text for text in watcher.said if text.startswith("kernels")]
    assert told[0].startswith("kernels: compiled-")
    assert told[1].startswith("kernels checked against the reference on 7 training trials")
