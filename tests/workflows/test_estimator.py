"""The Python estimator: scikit-learn's conventions, and the same numbers wherever it is kept."""

from __future__ import annotations

import copy
import gc
import pickle
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks, get_tags

from lfads_torch import LFADS, Recording
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.splitting import split_by_ids
from lfads_torch.errors import DataError, OutputError, RunError, SettingsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.warm_start import WarmStart

WIDTH = 0.01
TINY: dict[str, Any] = {
    "model.ic_encoder_size": 3,
    "model.controller_encoder_size": 3,
    "model.controller_size": 2,
    "model.generator_size": 5,
    "model.n_factors": 2,
    "model.n_inferred_inputs": 1,
    "model.initial_condition_size": 3,
    "loss.kl_ramp_increase": 0,
    "loss.l2_ramp_increase": 0,
    "training.epochs": 2,
    "inference.n_samples": 3,
}


def tiny(settings: dict[str, Any] | None = None, **parameters: Any) -> LFADS:
    return LFADS(settings=TINY | (settings or {}), **parameters)


def counts(n_trials: int = 11, n_bins: int = 7, n_units: int = 5, seed: int = 0) -> Any:
    # Units differ in rate, so that a wrong order of units shows.
    rate = np.linspace(0.3, 3.0, n_units)
    return np.random.default_rng(seed).poisson(rate, size=(n_trials, n_bins, n_units))


@pytest.fixture(scope="module")
def X() -> Any:
    return counts()


@pytest.fixture(scope="module")
def fitted(X: Any) -> LFADS:
    return tiny(n_seeds=2).fit(X, bin_width_s=WIDTH)


@pytest.fixture(scope="module")
def trained(X: Any) -> LFADS:
    """Trained for longer, on counts that hold nothing but their units' means."""
    settings = {"training.epochs": 60, "training.learning_rate": 0.02, "model.generator_size": 16}
    return tiny(settings).fit(X, bin_width_s=WIDTH)


# --- parameters ---


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


@pytest.mark.parametrize(
    "check",
    [
        "check_parameters_default_constructible",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_repr",
        "check_estimator_cloneable",
        "check_mixin_order",
    ],
)
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


# --- fit and transform ---


def test_fit_returns_itself_and_sets_attributes(X: Any) -> None:
    estimator = tiny(bin_width_s=WIDTH)
    before = estimator.get_params()
    assert estimator.fit(X, "ignored") is estimator
    assert estimator.get_params() == before
    assert estimator.n_features_in_ == 5
    assert estimator.bin_width_s_ == WIDTH
    assert estimator.settings_["model.n_factors"] == 2
    assert estimator.settings_["run.preset"] == "small"
    assert any("preset small" in text for text in estimator.messages_)


def test_rates_are_per_second_with_the_axes_of_the_counts(fitted: LFADS, X: Any) -> None:
    rates = fitted.transform(X)
    assert rates.shape == X.shape
    assert rates.dtype == np.float32
    assert (rates > 0).all()
    # The model knows bins, not seconds: the same counts in bins twice as wide are half the rate.
    wide = tiny(n_seeds=2, bin_width_s=2 * WIDTH).fit_transform(X)
    np.testing.assert_allclose(2 * wide, rates, rtol=1e-6)


def test_rates_of_trained_models_stand_near_the_mean_of_each_unit(trained: LFADS, X: Any) -> None:
    means = trained.transform(X).mean((0, 1))
    np.testing.assert_allclose(means, X.mean((0, 1)) / WIDTH, rtol=0.3)


def test_fit_transform_is_fit_then_transform(X: Any) -> None:
    both = tiny(n_seeds=2, bin_width_s=WIDTH).fit_transform(X)
    np.testing.assert_array_equal(both, tiny(n_seeds=2, bin_width_s=WIDTH).fit(X).transform(X))


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(X: Any) -> None:
    estimator = tiny(bin_width_s=WIDTH)
    first = estimator.fit(X).transform(X)
    np.testing.assert_array_equal(estimator.fit(X).transform(X), first)
    np.testing.assert_array_equal(clone(estimator).fit(X).transform(X), first)
    assert not np.array_equal(tiny(seed=1, bin_width_s=WIDTH).fit(X).transform(X), first)


def test_inputs_stay_as_they_were() -> None:
    X = counts().astype(np.float64)
    X[2, 3, 1] = np.nan
    before = X.copy()
    settings = dict(TINY)
    estimator = LFADS(settings=settings).fit(X, bin_width_s=WIDTH)
    estimator.transform(X)
    estimator.infer(X)
    estimator.score(X)
    np.testing.assert_array_equal(X, before)
    assert settings == TINY


def test_the_number_of_threads_of_the_process_stays(X: Any) -> None:
    before = torch.get_num_threads()
    estimator = tiny(threads=before + 1, bin_width_s=WIDTH).fit(X)
    estimator.transform(X)
    assert torch.get_num_threads() == before
    assert RunFolder(estimator.run_folder_).read_record().threads == before + 1


@pytest.mark.parametrize(
    "given",
    [
        lambda X: X.tolist(),
        lambda X: torch.as_tensor(X),
        lambda X: X.astype(np.float32),
        lambda X: xarray.DataArray(X.transpose(2, 0, 1), dims=("unit", "trial", "time")),
        lambda X: recording_from_arrays(X, bin_width_s=WIDTH),
    ],
    ids=["lists", "torch", "float32", "xarray, turned", "recording"],
)
def test_every_way_of_giving_counts_gives_the_same_rates(fitted: LFADS, X: Any, given: Any) -> None:
    np.testing.assert_array_equal(fitted.transform(given(X)), fitted.transform(X))


def test_units_come_back_in_the_order_they_were_given() -> None:
    X = counts(n_units=4)
    labelled = xarray.DataArray(
        X, dims=("trial", "time", "unit"), coords={"unit": ["d", "b", "a", "c"]}
    )
    settings = {"split.held_out_fraction": 0.25}
    estimator = tiny(settings).fit(labelled, bin_width_s=WIDTH)
    turned = labelled.isel(unit=[2, 0, 3, 1])
    np.testing.assert_array_equal(
        estimator.transform(turned), estimator.transform(labelled)[:, :, [2, 0, 3, 1]]
    )
    inferred = estimator.infer(turned)
    assert inferred["unit_id"].values.tolist() == ["a", "d", "c", "b"]
    np.testing.assert_array_equal(inferred["rates"], estimator.transform(turned))
    straight = estimator.infer(labelled)
    held_out = straight["unit_id"].values[straight["is_encoded"].values == 0]
    assert len(held_out) == 1
    assert inferred["unit_id"].values[inferred["is_encoded"].values == 0] == held_out


def test_members_are_a_leading_axis_of_which_the_best_is_one(fitted: LFADS, X: Any) -> None:
    rates = fitted.transform(X, members="all")
    assert rates.shape == (2, *X.shape)
    assert not np.array_equal(rates[0], rates[1])
    best = fitted.infer(X).attrs["member"]
    np.testing.assert_array_equal(rates[best], fitted.transform(X))
    inferred = fitted.infer(X, members="all")
    assert inferred["rates"].dims == ("member", "trial", "time", "unit")
    assert inferred["member"].values.tolist() == [0, 1]
    assert inferred["trial_id"].dims == ("trial",)
    np.testing.assert_array_equal(inferred["rates"], rates)


def test_rates_begin_after_the_bins_of_the_initial_condition(X: Any) -> None:
    estimator = tiny({"model.ic_bins": 2}).fit(X, bin_width_s=WIDTH)
    assert estimator.transform(X).shape == (11, 5, 5)
    np.testing.assert_allclose(estimator.infer(X)["time"], WIDTH * (np.arange(2, 7) + 0.5))
    assert np.isfinite(estimator.score(X))


# --- splits, conditions, external inputs ---


def test_words_divide_the_trials(X: Any) -> None:
    words = np.array(["train"] * 6 + ["valid"] * 2 + ["test"] * 2 + ["unused"])
    estimator = tiny().fit(X, bin_width_s=WIDTH, split=words, condition=list("ab" * 5 + "a"))
    inferred = estimator.infer(X)
    assert inferred["trial_set"].values.tolist() == words.tolist()
    assert inferred["condition"].values.tolist() == list("ab" * 5 + "a")


def test_a_split_of_ours_holds_out_units_and_bins(X: Any) -> None:
    recording = recording_from_arrays(X, bin_width_s=WIDTH)
    split = split_by_ids(recording, valid=[1, 4], held_out_units=[3], n_forward_bins=2)
    estimator = tiny().fit(recording, split=split)
    inferred = estimator.infer(X)
    assert inferred["is_encoded"].values.tolist() == [1, 1, 1, 0, 1]
    assert inferred["is_encoded_bin"].values.tolist() == [1] * 5 + [0] * 2
    assert np.flatnonzero(inferred["trial_set"].values == "valid").tolist() == [1, 4]
    assert estimator.transform(X).shape == X.shape


def test_other_counts_are_marked_new(fitted: LFADS, X: Any) -> None:
    assert set(fitted.infer(X)["trial_set"].values) == {"train", "valid"}
    assert set(fitted.infer(X[:4])["trial_set"].values) == {"new"}
    changed = X.copy()
    changed[0, 0, 0] += 1
    assert set(fitted.infer(changed)["trial_set"].values) == {"new"}


def test_external_inputs_are_needed_wherever_they_were_fitted(X: Any) -> None:
    inputs = np.random.default_rng(1).normal(size=(11, 7, 2))
    estimator = tiny()
    rates = estimator.fit_transform(X, bin_width_s=WIDTH, external_inputs=inputs)
    np.testing.assert_array_equal(estimator.transform(X, external_inputs=inputs), rates)
    assert not np.array_equal(estimator.transform(X, external_inputs=inputs + 1), rates)
    assert estimator.infer(X, external_inputs=inputs)["rates"].shape == X.shape
    assert np.isfinite(estimator.score(X, external_inputs=inputs))
    with pytest.raises(DataError, match="0 external inputs; the model needs 2"):
        estimator.transform(X)


def test_infer_names_every_signal_and_keeps_the_users_ids() -> None:
    recording = replace(
        recording_from_arrays(
            counts(n_trials=6),
            bin_width_s=WIDTH,
            trial_ids=[9, 3, 5, 1, 7, 2],
            unit_ids=["u5", "u1", "u2", "u4", "u3"],
        ),
        start_s=-0.05,
        session="monday",
    )
    inferred = tiny().fit(recording).infer(recording)
    assert inferred["rates"].dims == ("trial", "time", "unit")
    assert inferred["rates"].attrs["units"] == "spikes/s"
    assert inferred["factors"].dims == ("trial", "time", "factor")
    assert inferred["inferred_input_mean"].dims == ("trial", "time", "inferred_input")
    assert inferred["initial_condition_mean"].sizes["initial_condition_dimension"] == 3
    assert inferred["generator_initial_state"].sizes["generator_unit"] == 5
    assert inferred["trial_id"].values.tolist() == [9, 3, 5, 1, 7, 2]
    assert inferred["unit_id"].values.tolist() == ["u5", "u1", "u2", "u4", "u3"]
    np.testing.assert_allclose(inferred["time"][0], -0.045)
    assert inferred.attrs["session"] == "monday"


# --- score ---


def test_the_score_falls_when_the_rates_no_longer_fit_the_counts(fitted: LFADS, X: Any) -> None:
    assert fitted.score(X) == fitted.score(X)
    # Units in the wrong order: rates of the quiet ones for the busy ones.
    assert fitted.score(X[:, :, ::-1].copy()) < fitted.score(X) - 0.1


def test_the_score_rewards_no_copy_of_the_input(trained: LFADS) -> None:
    """Independent noise cannot be predicted from other entries, however long the training."""
    assert -0.5 < trained.score(counts(seed=5)) < 0.02


def test_the_score_is_that_of_evaluate(trained: LFADS) -> None:
    from lfads_torch.workflows.evaluate import Protocol, evaluate_run

    others = counts(seed=6)
    recording = recording_from_arrays(others, bin_width_s=WIDTH)
    run = RunFolder(trained.run_folder_)
    evaluation = evaluate_run(
        run, which_set="all", recording=recording, protocol=Protocol(n_bootstrap=0)
    )
    assert trained.score(others) == evaluation.score("masked_bits_per_spike").value


def test_counts_without_a_spike_have_no_score(trained: LFADS, X: Any) -> None:
    with pytest.raises(DataError, match=r"cannot be scored: .*hold no spike"):
        trained.score(X * 0)


def test_the_score_of_continuous_values_is_an_r2() -> None:
    time = np.linspace(0, 2 * np.pi, 9)
    phase = np.random.default_rng(2).uniform(0, 6, size=(30, 1, 1))
    X = np.sin(time[:, None] + phase + np.arange(4)) + 0.1
    slow = tiny({"loss.observation": "gaussian"}).fit(X, bin_width_s=WIDTH)
    assert slow.infer(X)["rates"].attrs["units"] == "as in counts"
    assert -2.0 < slow.score(X) < 1.0


# --- keeping it ---


def test_saved_and_loaded_it_gives_the_same_rates(fitted: LFADS, X: Any, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    assert fitted.save(target) == target
    loaded = LFADS.load(target)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))
    assert loaded.n_features_in_ == 5
    assert loaded.settings_ == fitted.settings_
    assert loaded.bin_width_s == WIDTH
    assert loaded.n_seeds == 2
    assert set(loaded.infer(X)["trial_set"].values) == {"train", "valid"}
    assert not [path for path in target.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")]


def test_a_loaded_one_fits_again_to_the_same_numbers_and_leaves_the_folder(
    fitted: LFADS, X: Any, tmp_path: Path
) -> None:
    folder = fitted.save(tmp_path / "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = LFADS.load(folder).fit(X)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    assert again.run_folder_ != folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_saving_never_replaces_anything(fitted: LFADS, tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    assert LFADS.load(fitted.save(empty)).n_features_in_ == 5
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"full: there is something already\. Name a new"):
        fitted.save(full)
    with pytest.raises(OutputError, match=r"notes.txt: there is something already"):
        fitted.save(full / "notes.txt")
    assert [path.name for path in tmp_path.rglob("*.part*")] == []
    assert (full / "notes.txt").read_text() == "mine"


def test_loading_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        LFADS.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="is not a run"):
        LFADS.load(tmp_path)


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_a_copy_stands_on_its_own(X: Any, travel: Any) -> None:
    original = tiny(bin_width_s=WIDTH).fit(X)
    rates, folder = original.transform(X), original.run_folder_
    twin = travel(original)
    assert twin.run_folder_ != folder
    del original
    gc.collect()
    assert not folder.exists()
    np.testing.assert_array_equal(twin.transform(X), rates)
    assert twin.get_params()["settings"] == TINY


def test_an_unfitted_one_can_be_pickled() -> None:
    twin = pickle.loads(pickle.dumps(tiny(seed=4)))
    assert twin.get_params() == tiny(seed=4).get_params()


def test_temporary_folders_go_with_the_estimator_or_the_process(
    X: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    estimator = tiny(bin_width_s=WIDTH).fit(X)
    first = estimator.run_folder_
    assert tmp_path in first.parents
    estimator.fit(X).infer(X)
    assert not first.exists()
    with pytest.raises(DataError):
        estimator.fit(X[:, :, :0])
    del estimator
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_is_kept_and_replaced_by_its_own_estimator_only(
    X: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    estimator = tiny(bin_width_s=WIDTH, run_folder=folder).fit(X)
    assert estimator.run_folder_ == folder
    first = estimator.transform(X)
    assert RunFolder.open(folder).read_record().status == "finished"
    np.testing.assert_array_equal(estimator.fit(X).transform(X), first)
    with pytest.raises(RunError, match=r"holds a run already. Give another run_folder"):
        clone(estimator).fit(X)
    np.testing.assert_array_equal(LFADS.load(folder).transform(X), first)


def test_ctrl_c_is_passed_on_and_keeps_the_model(X: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lfads_torch.workflows.listener import Listener

    monkeypatch.setattr(
        Listener, "epoch", lambda self, report, settings: signal.raise_signal(signal.SIGINT)
    )
    estimator = tiny({"training.epochs": 50}, bin_width_s=WIDTH)
    with pytest.raises(KeyboardInterrupt, match="kept as far as it got"):
        estimator.fit(X)
    assert any("stored after epoch 0" in text for text in estimator.messages_)
    assert estimator.transform(X).shape == X.shape


# --- in company ---


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


def test_it_speaks_only_if_asked(X: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(bin_width_s=WIDTH).fit(X)
    assert capsys.readouterr().out == ""
    tiny(bin_width_s=WIDTH, verbose=True).fit(X)
    printed = capsys.readouterr().out
    assert "preset small, for" in printed
    assert "epoch 1 (2 of 2): valid_score" in printed


# --- messages ---


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


def test_training_starts_from_a_run_or_from_a_part_of_it(tmp_path):
    first = tiny(run_folder=tmp_path / "first", bin_width_s=WIDTH).fit(counts())
    frozen = {"training.train": "readout", "training.epochs": 1}
    second = tiny(frozen, run_folder=tmp_path / "second", bin_width_s=WIDTH)
    second.fit(counts(), start_from=str(tmp_path / "first"))
    before, after = (
        load_file(RunFolder.open(tmp_path / name).best_checkpoint_path)
        for name in ("first", "second")
    )
    name = next(each for each in before if each.startswith("weights/generator"))
    assert torch.equal(before[name], after[name])
    assert any(text.startswith("weights from ") for text in second.messages_)
    part = WarmStart(run=tmp_path / "first", parts=("generator",))
    with pytest.raises(RunError, match="no_such_run"):
        tiny(bin_width_s=WIDTH).fit(counts(), start_from=tmp_path / "no_such_run")
    third = tiny({"training.freeze": "generator", "training.epochs": 1}, bin_width_s=WIDTH)
    third.fit(counts(seed=1), start_from=part)
    assert any(text.startswith("weights from ") for text in third.messages_)
    assert first.transform(counts()).shape == third.transform(counts()).shape
