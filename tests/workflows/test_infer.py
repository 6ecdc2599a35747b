"""Rates of a trained run: the user's own order, units and ids, spikes per second, any chunks."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray
from run_cases import recording, settings

from lfads_torch.errors import DataError, RunError
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.fit import fit_run
from lfads_torch.workflows.infer import infer_to_file

N_SAMPLES = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    wanted = settings(
        "run.n_seeds=2", "training.epochs=12", "inference.save_generator_states=true",
        "model.ic_bins=2",
    )  # fmt: skip
    return fit_run(recording(), wanted, tmp_path_factory.mktemp("infer") / "run")


def inferred(run, given, path, *, is_new=False, **options) -> xarray.Dataset:
    target = infer_to_file(run, given, path / "rates.nc", is_new=is_new, **options)
    with open_rates(target) as rates:
        return rates.load()


@pytest.fixture(scope="module")
def rates(run, tmp_path_factory):
    return inferred(run, recording(), tmp_path_factory.mktemp("rates"))


def test_ids_order_sets_and_times_are_the_users(rates):
    original = recording()
    assert rates["trial_id"].values.tolist() == original.trial_ids.tolist()
    assert rates["unit_id"].values.tolist() == original.unit_ids.tolist()
    assert rates["trial_set"].values.tolist() == original.split.trial_set.tolist()
    assert rates["condition"].values.tolist() == original.condition.tolist()
    np.testing.assert_allclose(rates["time"], original.time_s[2:], atol=1e-12)
    assert rates["is_encoded"].values.tolist() == [1, 1, 0, 1, 1]
    assert rates["is_encoded_bin"].values.tolist() == [1] * 6 + [0]
    assert rates["rates"].dims == ("trial", "time", "unit")
    assert rates["rates"].shape == (17, 7, 5)
    assert rates["generator_states"].shape == (17, 7, 5)
    assert rates["inferred_input_mean"].shape == (17, 7, 1)


def test_rates_are_spikes_per_second(rates):
    """After a few epochs each unit's mean rate is roughly its mean rate in the training data."""
    original = recording()
    training = original.split.trials("train")
    data = original.counts[training].mean((0, 1)) / original.bin_width_s
    model = rates["rates"].values[training].mean((0, 1))
    np.testing.assert_allclose(model, data, rtol=0.35)
    assert rates["rates"].attrs["units"] == "spikes/s"
    assert rates.attrs["bin_width_s"] == pytest.approx(0.01)
    assert bool((rates["rate_posterior_std"] > 0).all())


def test_the_member_with_the_best_score_is_taken_unless_one_is_asked_for(run, rates, tmp_path):
    scores = np.array([row["valid_score"] for row in run.metrics.read()])[1:].min(0)
    best = int(scores.argmin())
    assert int(rates.attrs["member"]) == best
    other = inferred(run, recording(), tmp_path, member=1 - best)
    assert int(other.attrs["member"]) == 1 - best
    assert not np.allclose(other["rates"], rates["rates"], rtol=1e-3)
    with pytest.raises(RunError, match=r"no member 7; there are \[0, 1\]"):
        infer_to_file(run, recording(), tmp_path / "none.nc", is_new=False, member=7)
    assert not (tmp_path / "none.nc").exists()


def test_the_file_opens_without_us(run, tmp_path):
    target = infer_to_file(run, recording(), tmp_path / "rates.nc", is_new=False)
    with xarray.open_dataset(target, engine="h5netcdf") as rates:
        assert rates["rates"].shape == (17, 7, 5)
    with h5py.File(target) as file:
        assert file["rates"].shape == (17, 7, 5)


@pytest.mark.parametrize("batch_size", [1, 5, 17])
def test_chunks_change_nothing(run, rates, tmp_path, batch_size):
    from lfads_torch.outputs.settings import InferenceSettings

    chunked = InferenceSettings(
        n_samples=N_SAMPLES, batch_size=batch_size, save_generator_states=True
    )
    found = inferred(run, recording(), tmp_path, inference=chunked)
    for name in (
        "rates",
        "rate_posterior_std",
        "factors",
        "generator_states",
        "inferred_input_std",
    ):
        np.testing.assert_allclose(found[name], rates[name], rtol=2e-5, atol=2e-5, err_msg=name)


def test_units_in_another_order_are_found_by_their_ids_and_answered_in_that_order(
    run, rates, tmp_path
):
    order = np.array([3, 0, 4, 1, 2])
    turned = replace(recording().take_units(order), split=None)
    found = inferred(run, turned, tmp_path, is_new=True)
    assert found["unit_id"].values.tolist() == turned.unit_ids.tolist()
    assert found["is_encoded"].values.tolist() == [1, 1, 1, 1, 0]
    for name in ("rates", "rate_posterior_std"):
        np.testing.assert_array_equal(found[name].values, rates[name].values[..., order])
    np.testing.assert_array_equal(found["factors"].values, rates["factors"].values)


def test_a_new_recording_needs_no_split_and_may_have_another_session(run, tmp_path):
    new = replace(recording(4, seed=8), session="tuesday", split=None)
    found = inferred(run, new, tmp_path, is_new=True)
    assert set(found["trial_set"].values.tolist()) == {"new"}
    assert found.attrs["session"] == "tuesday"
    assert found["rates"].shape == (4, 7, 5)


def test_held_out_units_and_forward_bins_are_not_looked_at(run, rates, tmp_path):
    counts = recording().counts.copy()
    counts[:, :, 2] = 9
    counts[:, 8:] = 9
    found = inferred(run, replace(recording(), counts=counts), tmp_path, is_new=True)
    np.testing.assert_array_equal(found["rates"].values, rates["rates"].values)


def test_a_trial_does_not_depend_on_the_others(run, rates, tmp_path):
    counts = recording().counts.copy()
    counts[1:] = 0
    found = inferred(run, replace(recording(), counts=counts), tmp_path, is_new=True)
    np.testing.assert_allclose(found["rates"][0], rates["rates"][0], rtol=1e-6)
    assert not np.allclose(found["rates"][1], rates["rates"][1], rtol=1e-3)


def another(kind: str):
    new = replace(recording(), split=None)
    if kind == "width":
        return replace(new, bin_width_s=0.02)
    if kind == "length":
        return replace(new, counts=new.counts[:, :8], external_inputs=new.external_inputs[:, :8])
    if kind == "fewer units":
        return new.take_units(np.arange(4))
    if kind == "other units":
        return replace(new, unit_ids=np.array(["u4", "u0", "u9", "u2", "strange"]))
    if kind == "more units":
        wider = np.concatenate([new.counts, new.counts[:, :, :1]], 2)
        return replace(new, counts=wider, unit_ids=np.array([*new.unit_ids, "u99"]))
    return replace(new, external_inputs=None)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("width", r"bins are 0\.02 s wide; the model was trained on 0\.01 s"),
        ("length", "trials have 8 bins; the model was trained on 9"),
        ("fewer units", r"has 4 units, the model 5; it lacks \['u7'\]"),
        ("other units", r"lacks \['u7'\]"),
        ("more units", "has 6 units, the model 5; it has units the model does not know"),
        ("no inputs", "0 external inputs; the model needs 1"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(run, tmp_path, kind, message):
    with pytest.raises(DataError, match=message):
        infer_to_file(run, another(kind), tmp_path / "rates.nc", is_new=True)
    assert list(tmp_path.iterdir()) == []


def test_posterior_means_and_single_samples_have_no_spread(run, tmp_path):
    from lfads_torch.outputs.settings import InferenceSettings

    for n in (0, 1):
        found = inferred(run, recording(), tmp_path, inference=InferenceSettings(n_samples=n))
        assert "rate_posterior_std" not in found
        assert bool(np.isfinite(found["rates"]).all())


def test_more_samples_come_closer_to_one_another(run, tmp_path):
    """The mean over 5 samples and over 5 others differ by less than two single samples do."""
    from lfads_torch.outputs.settings import InferenceSettings

    means = {
        n: inferred(run, recording(), tmp_path, inference=InferenceSettings(n_samples=n))["rates"]
        for n in (1, 40, 80)
    }
    single = float(np.abs(means[1] - means[80]).mean())
    many = float(np.abs(means[40] - means[80]).mean())
    assert many < single / 3
