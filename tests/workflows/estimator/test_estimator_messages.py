"""What cannot be fitted or applied is told in one message; nothing is said unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from tiny_estimator import WIDTH, counts, tiny

from lfads_torch import LFADS, Recording
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.errors import DataError, SettingsError


def test_it_speaks_only_if_asked(X: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(bin_width_s=WIDTH).fit(X)
    assert capsys.readouterr().out == ""
    tiny(bin_width_s=WIDTH, verbose=True).fit(X)
    printed = capsys.readouterr().out
    assert "preset small, for" in printed
    assert "epoch 1 (2 of 2): valid_score" in printed


def recording_with(width: float) -> Recording:
    return recording_from_arrays(counts(), bin_width_s=width)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny().fit(counts()), r"width of a bin is not known.*fit\(X, bin_width_s=0.005\)"),
        (lambda: tiny(bin_width_s=0).fit(counts()), "bin_width_s is 0.0; a positive width"),
        (lambda: tiny(bin_width_s=WIDTH).fit(counts()[0]), r"shape \(7, 5\); three axes"),
        (
            lambda: tiny(bin_width_s=WIDTH).fit([np.ones((4, 2)), np.ones((5, 3))]),
            r"2 trials differ in shape, from \(4, 2\) to \(5, 3\)",
        ),
        (lambda: tiny(bin_width_s=WIDTH).fit(counts() * 0.5), "cannot be fitted"),
        (lambda: tiny(bin_width_s=WIDTH).fit("counts.h5"), r"is the path 'counts.h5'; .*read_reco"),
        (lambda: tiny().fit(Path("counts.h5")), r"is the path 'counts.h5'; .*read_recording"),
        (
            lambda: tiny(bin_width_s=0.02).fit(recording_with(0.01)),
            "bin_width_s is 0.02, but the recording's bins are 0.01 s wide",
        ),
        (
            lambda: tiny(bin_width_s=WIDTH).fit(counts(), split=["train", "vlid"]),
            "split has the words vlid; needed is a Split, or for each of the 11 trials one of",
        ),
        (
            lambda: tiny(bin_width_s=WIDTH).fit(counts(), split=["train", "valid"]),
            r"split.trial_set has shape \(2,\)",
        ),
        (
            lambda: tiny(bin_width_s=WIDTH).fit(counts(), condition=[1, 2]),
            r"condition has shape \(2,\)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_told(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LFADS(settings={"model.n_factor": 3}),
            r"model.n_factor \(LFADS\(settings=...\)\) is no setting; did you mean model.n_factors",
        ),
        (lambda: LFADS(settings={"run.seed": 3}), r"gives run.seed.*LFADS\(seed=...\)"),
        (lambda: LFADS(settings={"run": {"device": "cpu"}}), "gives run.device"),
        (lambda: LFADS(settings=["model"]), "a mapping of dotted names to values is needed"),
        (lambda: LFADS(settings={"training": {"epochs": 0}}), "training.epochs.* is 0; needed is"),
        (lambda: LFADS(seed="x"), r"run.seed \(LFADS\(seed=...\)\) is the text 'x'"),
        (lambda: LFADS(seed=None), "run.seed.*is empty"),
        (lambda: LFADS(preset="smal"), r"run.preset \(LFADS\(preset=...\)\).*did you mean small"),
        (lambda: LFADS(n_seeds=0), "run.n_seeds.* is 0; needed is a whole number, at least 1"),
    ],
)
def test_wrong_parameters_are_told_at_fit(make: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make().fit(counts(), bin_width_s=WIDTH)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda X: X[:, :, :4], r"X has 4 units \(its last axis\); this LFADS was fitted on 5"),
        (lambda X: X[:, :6], "trials have 6 bins; the model was trained on 7"),
        (lambda X: X[0], "three axes are needed"),
        (lambda X: recording_from_arrays(X, bin_width_s=0.02), "bins are 0.02 s wide"),
        (
            lambda X: xarray.DataArray(
                X, dims=("trial", "time", "unit"), coords={"unit": list("abcde")}
            ),
            "Give the same units",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_told(
    fitted: LFADS, X: Any, given: Any, message: str
) -> None:
    for method in (fitted.transform, fitted.infer, fitted.score):
        with pytest.raises(DataError, match=message):
            method(given(X))


def test_members_are_best_or_all(fitted: LFADS, X: Any) -> None:
    with pytest.raises(SettingsError, match='members is 0; "best" or "all" is needed'):
        fitted.transform(X, members=0)  # type: ignore[arg-type]
