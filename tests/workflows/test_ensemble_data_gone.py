"""Ensembles of a run that stored no choice, and whose recording is gone: those of its rates."""

from __future__ import annotations

import numpy as np
import pytest
from run_cases import recording, settings

from lfads_torch.errors import RunError
from lfads_torch.outputs.ensemble_file import EnsembleRecord, write_ensemble
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.choose_ensemble import candidates_of, chosen_models
from lfads_torch.workflows.ensemble import ensemble_note
from lfads_torch.workflows.finish import write_rates
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file


def test_the_models_are_those_of_the_rates(tmp_path):
    run = fit_run(recording(), settings("run.n_seeds=3", "inference.ensemble=2"), tmp_path / "run")
    models = candidates_of(run)
    ids, scores = tuple(m.member for m in models), tuple(m.score for m in models)
    taken = (ids[0], ids[2])
    choice = run.path / "ensemble.json"
    write_ensemble(
        choice,
        EnsembleRecord(members=taken, nats=(0.5, 0.4), candidates=ids, scores=scores, n_trials=3),
    )
    write_rates(run, recording())
    choice.unlink()
    (run.path / "recording.h5").unlink()
    assert chosen_models(run).members == taken
    assert not choice.exists()
    new = infer_to_file(run, recording(seed=1), tmp_path / "new.nc", is_new=True)
    with open_rates(new) as rates:
        assert tuple(np.atleast_1d(rates.attrs["ensemble_members"])) == taken
    assert ensemble_note(run, 2) == (
        "an ensemble of up to 2 models was asked for: run has no stored choice and its recording "
        "is not at hand to choose by, so the models are those of its own rates.nc: members "
        f"{taken[0]}, {taken[1]}"
    )
    run.rates_path.unlink()
    with pytest.raises(RunError, match="not at hand"):
        chosen_models(run)
