"""AutoLFADS in Python: a search behind the conventions of scikit-learn."""

from __future__ import annotations

import copy
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from tiny_estimator import CHECKS_WITHOUT_TABLE, SIZES, WIDTH, counts

import lfads_torch
from lfads_torch import LFADS, AutoLFADS
from lfads_torch.errors import RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.kept_models import kept_models
from lfads_torch.workflows.stored import members_of

TINY: dict[str, Any] = SIZES | {"loss.kl_ramp_increase": 1, "loss.l2_ramp_increase": 1}
SMALL: dict[str, Any] = {"population": 3, "generations": 2, "generation_epochs": 1}


def tiny(settings: dict[str, Any] | None = None, **parameters: Any) -> AutoLFADS:
    return AutoLFADS(settings=TINY | (settings or {}), **(SMALL | parameters))


@pytest.fixture(scope="module")
def X() -> Any:
    return counts()


@pytest.fixture(scope="module")
def fitted(X: Any) -> AutoLFADS:
    return tiny().fit(X, bin_width_s=WIDTH)


# --- parameters ---


def test_it_stands_beside_lfads() -> None:
    assert "AutoLFADS" in lfads_torch.__all__
    assert lfads_torch.AutoLFADS is AutoLFADS


def test_parameters_go_in_and_come_out_as_they_are() -> None:
    given = {
        "bin_width_s": 0.02,
        "preset": "small",
        "observation": "poisson",
        "settings": {"model.n_factors": 8},
        "population": 7,
        "generations": 3,
        "generation_epochs": 2,
        "method": "random",
        "values": None,
        "space": {"training.learning_rate": None},
        "shapes": 2,
        "seed": 3,
        "device": "cpu",
        "threads": 1,
        "precision": "bf16",
        "run_folder": "somewhere",
        "verbose": True,
    }
    estimator = AutoLFADS(**given)
    assert estimator.get_params() == given
    assert clone(estimator).get_params() == given


@pytest.mark.parametrize("check", CHECKS_WITHOUT_TABLE)
def test_it_passes_the_checks_of_scikit_learn_that_need_no_table(check: str) -> None:
    getattr(estimator_checks, check)("AutoLFADS", AutoLFADS())


def test_defaults_are_those_of_the_settings() -> None:
    from lfads_torch.search.settings import SearchSettings

    parameters, defaults = AutoLFADS().get_params(), SearchSettings()
    for name in ("population", "generations", "generation_epochs", "method"):
        assert parameters[name] == getattr(defaults, name)


def test_before_fit_there_is_nothing(X: Any) -> None:
    for use in (lambda e: e.transform(X), lambda e: e.history_, lambda e: e.best_hyperparameters_):
        with pytest.raises(NotFittedError):
            use(AutoLFADS())


# --- what a search leaves ---


def test_a_search_tells_its_history_and_its_best(fitted: AutoLFADS) -> None:
    history = fitted.history_
    assert history["generation"].tolist() == [0, 0, 0, 1, 1, 1]
    assert history["member"].tolist() == [0, 1, 2] * 2
    assert history["score"].dtype == np.float64
    assert set(history["outcome"][-3:]) == {"last"}
    assert {len(column) for column in history.values()} == {6}
    best = fitted.best_hyperparameters_
    assert set(best) == {name for name in history if "." in name}
    assert len(best) == 7
    assert np.isclose(history["training.learning_rate"], best["training.learning_rate"]).any()
    assert all(len(f"{value!r}") < 14 for value in best.values())  # 0.004, not 0.00400000018998
    assert fitted.settings_["search.population"] == 3
    assert fitted.n_features_in_ == 5
    assert any("the search ended" in text for text in fitted.messages_)


def test_the_best_member_is_one_of_the_kept_lines(fitted: AutoLFADS, X: Any) -> None:
    rates = fitted.transform(X, members="all")
    lines = members_of(RunFolder(fitted.run_folder_))
    assert rates.shape == (len(lines), *X.shape)
    best = fitted.infer(X).attrs["member"]
    record = RunFolder(fitted.run_folder_).read_record()
    assert best == record.search["best"]["member"]
    np.testing.assert_array_equal(rates[lines.index(best)], fitted.transform(X))
    assert fitted.infer(X, members="all")["member"].values.tolist() == lines
    assert np.isfinite(fitted.score(X))


# --- the space ---


def test_the_space_takes_texts_mappings_and_none(X: Any) -> None:
    space = {
        "training.learning_rate": {"low": np.float32(1e-3), "high": 2e-3, "first": "uniform"},
        "training.weight_decay": "1e-6..1e-2,first=log_uniform",
        "augmentation.dropout_rate": None,
    }
    estimator = tiny(space=space, method="random", population=2, generations=1)
    history = estimator.fit(X, bin_width_s=WIDTH).history_
    rate = history["training.learning_rate"]
    assert ((rate >= 0.000999) & (rate <= 2e-3)).all()
    assert rate[0] != rate[1]
    assert "training.weight_decay" in history
    assert "augmentation.dropout_rate" not in history


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny(space=["x"]), r"AutoLFADS\(space=...\) is \['x'\]; a mapping of dotted"),
        (lambda: tiny(space={"training.learning_rate": 3}), "learning_rate .* is 3; needed is a "),
        (
            lambda: tiny(space={"training.learning_rat": None}),
            r"\(AutoLFADS\(space=...\)\) is no setting; did you mean training.learning_rate",
        ),
        (
            lambda: tiny(space={"training.learning_rate": "3..1"}),
            r"learning_rate \(AutoLFADS\(space=...\)\): the range 3..1 is empty",
        ),
        (lambda: tiny(space={"training.learning_rate": "many"}), "'training.learning_rate=many'"),
        (
            lambda: tiny(space={"model.n_factors": {"low": 1, "high": 3}}),
            "model.n_factors .* cannot be searched while members train",
        ),
        (lambda: tiny(population=0), r"search.population \(AutoLFADS\(population=...\)\) is 0"),
        (lambda: tiny({"search.generations": 2}), r"AutoLFADS\(generations=...\) instead"),
        (lambda: tiny({"search.selectio": "x"}), "did you mean search.selection"),
        (lambda: tiny(method="list"), r"values=\[\{name: value\}, ...\]"),
        (lambda: tiny(method="list", values=3), "a list with a mapping per member"),
        (
            lambda: tiny(method="list", values=[{"training.learning_rat": 0.1}]),
            r"training.learning_rat \(AutoLFADS\(values=...\)\).* did you mean",
        ),
        (lambda: tiny(values=[{"training.learning_rate": 0.1}]), "which draws its own values"),
    ],
)
def test_wrong_parameters_are_told_at_fit(make: Any, message: str, X: Any) -> None:
    with pytest.raises(SettingsError, match=message):
        make().fit(X, bin_width_s=WIDTH)


# --- keeping it ---


def test_saved_and_loaded_it_is_the_same_and_fits_again_to_the_same_numbers(
    fitted: AutoLFADS, X: Any, tmp_path: Path
) -> None:
    loaded = AutoLFADS.load(fitted.save(tmp_path / "search"))
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    assert loaded.best_hyperparameters_ == fitted.best_hyperparameters_
    assert loaded.population == 3
    assert loaded.bin_width_s == WIDTH
    again = loaded.fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(again.history_["score"], fitted.history_["score"])


def test_a_search_of_other_ranges_is_loaded_with_them(X: Any, tmp_path: Path) -> None:
    space = {"training.learning_rate": "1e-3..2e-3", "augmentation.dropout_rate": None,
             "training.beta2": {"low": 0.9, "high": 0.99, "first": "uniform"}}  # fmt: skip
    estimator = tiny(space=space, generations=1, population=2).fit(X, bin_width_s=WIDTH)
    folder = estimator.save(tmp_path / "search")
    again = AutoLFADS.load(folder).fit(X)
    for name in ("training.beta2", "training.learning_rate", "loss.kl_input_scale"):
        np.testing.assert_array_equal(again.history_[name], estimator.history_[name])
    text = (folder / "space.yaml").read_text()
    assert (again.run_folder_ / "space.yaml").read_text() == text


@pytest.mark.parametrize("unit", ["published", "beta"])
def test_a_list_of_members_is_searched_and_loaded_with_its_values(
    X: Any, tmp_path: Path, unit: str
) -> None:
    values = [
        {"training.learning_rate": rate, "loss.kl_input_scale": scale}
        for rate, scale in ((1e-3, 0.2), (4e-3, 0.1))
    ]
    estimator = tiny({"loss.kl_scale_unit": unit}, method="list", values=values, generations=1)
    estimator.fit(X, bin_width_s=WIDTH)
    factor = 1.0 / 35 if unit == "beta" else 1.0  # 7 bins of 5 units
    for model in kept_models(RunFolder.open(estimator.run_folder_)):
        given = values[model.member]
        assert model.hyperparameters["training.learning_rate"] == pytest.approx(
            given["training.learning_rate"]
        )
        assert model.hyperparameters["loss.kl_input_scale"] == pytest.approx(
            given["loss.kl_input_scale"] * factor
        )
    loaded = AutoLFADS.load(estimator.save(tmp_path / "search"))
    for given, kept in zip(values, loaded.values, strict=True):
        assert kept == pytest.approx(given)
    again = loaded.fit(X)
    np.testing.assert_array_equal(again.history_["score"], estimator.history_["score"])


def test_a_space_that_was_changed_on_the_way_is_refused(fitted: AutoLFADS, tmp_path: Path) -> None:
    from lfads_torch.workflows.advance_search import _space_text

    folder = fitted.save(tmp_path / "search")
    run = RunFolder.open(folder)
    text = run.space_path.read_text(encoding="utf-8")
    run.space_path.write_bytes(text.replace("\n", "\r\n").encode())
    _space_text(run)  # line ends change nothing
    run.space_path.write_text(text.replace("0.6", "0.5"), encoding="utf-8")
    assert run.space_path.read_text(encoding="utf-8") != text
    with pytest.raises(RunError, match=r"space.yaml: it is not what this search was begun with"):
        _space_text(run)


def test_values_that_will_not_hold_are_told(X: Any) -> None:
    rate = {"training.learning_rate": 0.001, "training.beta1": 0.8, "model.n_factors": 2}
    estimator = tiny(rate, space={"training.beta1": "0.7..0.9"}, generations=1, population=2)
    told = [text for text in estimator.fit(X, bin_width_s=WIDTH).messages_ if "hold" in text]
    assert len(told) == 1
    assert told[0].startswith("training.learning_rate, training.beta1: given, but searched")


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_a_copy_stands_on_its_own(fitted: AutoLFADS, X: Any, travel: Any) -> None:
    twin = travel(fitted)
    assert twin.run_folder_ != fitted.run_folder_
    np.testing.assert_array_equal(twin.transform(X), fitted.transform(X))
    assert twin.history_["score"].tolist() == fitted.history_["score"].tolist()


def test_fits_and_searches_are_loaded_by_their_own_classes(
    fitted: AutoLFADS, X: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"holds a search; load it with AutoLFADS.load"):
        LFADS.load(fitted.run_folder_)
    fit = LFADS(settings=TINY | {"training.epochs": 1}).fit(X, bin_width_s=WIDTH)
    with pytest.raises(RunError, match=r"holds a fit; load it with LFADS.load"):
        AutoLFADS.load(fit.run_folder_)


def test_ctrl_c_is_passed_on_and_keeps_the_model(X: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfads_torch.workflows.listener import Listener

    monkeypatch.setattr(
        Listener, "epoch", lambda self, report, settings: signal.raise_signal(signal.SIGINT)
    )
    estimator = tiny(bin_width_s=WIDTH)
    with pytest.raises(KeyboardInterrupt, match=r"AutoLFADS.fit was stopped; the model is kept"):
        estimator.fit(X)
    assert estimator.transform(X).shape == X.shape
    assert estimator.history_ == {}
