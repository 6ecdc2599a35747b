"""The estimator keeps scikit-learn's conventions: parameters, clones, tags, pipelines, searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags
from tiny_estimator import CHECKS_WITHOUT_TABLE, TINY, WIDTH, tiny

from lfads_torch import LFADS


def test_parameters_go_in_and_come_out_as_they_are() -> None:
    given = {
        "bin_width_s": 0.02,
        "preset": "small",
        "observation": "poisson",
        "settings": {"model.n_factors": 8},
        "seed": 3,
        "n_seeds": 2,
        "device": "cpu",
        "threads": 1,
        "precision": "bf16",
        "run_folder": "somewhere",
        "verbose": True,
    }
    estimator = LFADS(**given)
    assert estimator.get_params() == given
    assert estimator.settings is given["settings"]
    assert LFADS().set_params(**given).get_params() == given
    with pytest.raises(ValueError, match="Invalid parameter 'n_factors'"):
        LFADS().set_params(n_factors=3)


@pytest.mark.parametrize("check", [*CHECKS_WITHOUT_TABLE, "check_mixin_order"])
def test_it_passes_the_checks_of_scikit_learn_that_need_no_table(check: str) -> None:
    getattr(estimator_checks, check)("LFADS", LFADS())


def test_making_one_checks_and_does_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    LFADS(bin_width_s=-1, preset="no such preset", settings={"a.b": 1}, run_folder=folder)
    assert not folder.exists()


def test_a_clone_has_the_parameters_and_no_fit(fitted: LFADS, X: Any) -> None:
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        twin.transform(X)


def test_tags_say_three_axes_and_missing_values() -> None:
    tags = get_tags(LFADS())
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.allow_nan
    assert not tags.target_tags.required


@pytest.mark.parametrize("method", ["transform", "infer", "score"])
def test_before_fit_there_is_nothing_to_apply(method: str, X: Any) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(LFADS(), method)(X)


def test_before_fit_there_is_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        LFADS().save(tmp_path / "run")
    with pytest.raises(NotFittedError):
        _ = LFADS().run_folder_
    assert list(tmp_path.iterdir()) == []


def test_it_ends_a_pipeline(X: Any) -> None:
    pipeline = make_pipeline(FunctionTransformer(), tiny(bin_width_s=WIDTH))
    rates = pipeline.fit(X).transform(X)
    np.testing.assert_array_equal(rates, tiny(bin_width_s=WIDTH).fit(X).transform(X))
    named = Pipeline([("lfads", tiny())])
    assert named.fit_transform(X, lfads__bin_width_s=WIDTH).shape == X.shape
    assert named.set_params(lfads__seed=7).get_params()["lfads__seed"] == 7


def test_it_is_searched_over(X: Any) -> None:
    choices = [TINY, TINY | {"model.n_factors": 1}]
    search = GridSearchCV(tiny(bin_width_s=WIDTH), {"settings": choices}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.transform(X).shape == X.shape
