"""Every other score of a run against a direct computation, and what is said where none applies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from tiny_runs import fitted, rich_recording, with_rates

from lfads_torch.analysis.report_scores import score_rows
from lfads_torch.cli.scores_table import headline
from lfads_torch.data.recording import Split
from lfads_torch.errors import DataError
from lfads_torch.model.weights import ModelWeights
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.training.noise import StreamNoise
from lfads_torch.training.score import forward
from lfads_torch.training.streams import Streams
from lfads_torch.workflows.evaluate import Protocol, evaluate_run, to_json, to_rows
from lfads_torch.workflows.scores import inputs
from lfads_torch.workflows.stored import load_model, read_recording_of

BIN = 0.01


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores") / "run"
    return with_rates(fitted(rich_recording(), folder, "split.n_forward_bins=1", "model.ic_bins=2"))


@pytest.fixture(scope="module")
def evaluation(run):
    return evaluate_run(
        run,
        which_set="valid",
        protocol=Protocol(n_bootstrap=40, behaviour_lag_ms=20, with_baselines=True),
    )


@pytest.fixture(scope="module")
def stored(run):
    """Recording, rates file in memory, and positions of training and validation trials."""
    recording = read_recording_of(run)
    with open_rates(run.rates_path) as rates:
        loaded = rates.load()
    return recording, loaded, recording.split.trials("train"), recording.split.trials("valid")


def test_behaviour_is_decoded_from_training_trials(evaluation, stored):
    recording, rates, train, valid = stored
    # Encoded bins 2 .. 9 and behaviour 20 ms later; after bin 10 there is none left.
    expected = rates["rates"].values[:, :8].astype(float) * BIN
    hand = recording.behaviour["hand"][:, 4:12]
    score = evaluation.score("behaviour_hand_r2")
    rows = {"train": train, "valid": valid}
    x = {name: expected[trials].reshape(-1, 6) for name, trials in rows.items()}
    y = {name: hand[trials].reshape(-1, 2) for name, trials in rows.items()}
    ridge = Ridge(alpha=score.details["alpha"]).fit(x["train"], y["train"])
    assert score.value == pytest.approx(r2_score(y["valid"], ridge.predict(x["valid"])), rel=1e-6)
    assert score.is_used_for_selection
    assert evaluation.score("behaviour_eye_r2").value < 0.5


def test_the_condition_alone_and_the_rest_stand_beside_it(evaluation, stored):
    recording, _, train, valid = stored
    hand = recording.behaviour["hand"][:, 4:]  # bins 2 .. 9 with their behaviour 2 bins later
    means = np.stack([hand[train][recording.condition[train] == c].mean(0) for c in range(3)])
    predicted = means[recording.condition[valid]]
    wanted = r2_score(hand[valid].reshape(-1, 2), predicted.reshape(-1, 2))
    assert evaluation.score("behaviour_hand_condition_mean_r2").value == pytest.approx(wanted)
    assert evaluation.score("behaviour_hand_within_conditions_r2").value < wanted


def test_psth_r2_in_both_definitions(evaluation, stored):
    recording, rates, train, valid = stored
    expected = rates["rates"].values[valid, :9].astype(float) * BIN
    counts, condition = recording.counts[:, 2:11], recording.condition
    averages = np.stack([np.nanmean(counts[train][condition[train] == c], 0) for c in range(3)])
    target = gaussian_filter1d(averages, 5, axis=1, mode="reflect")
    single = [
        r2_score(target[condition[valid]][:, :, n].ravel(), expected[:, :, n].ravel())
        for n in range(6)
    ]
    means = np.stack([expected[condition[valid] == c].mean(0) for c in range(3)])
    averaged = [r2_score(target[:, :, n].ravel(), means[:, :, n].ravel()) for n in range(6)]
    assert evaluation.score("psth_r2_single_trial").value == pytest.approx(np.mean(single))
    assert evaluation.score("psth_r2_averaged").value == pytest.approx(np.mean(averaged))
    found = evaluation.score("psth_r2_averaged")
    assert found.details["per_unit"] == pytest.approx(averaged)
    assert "ceiling" in found.beside
    assert found.note.startswith("ceiling")


def test_psth_r2_says_what_the_true_rates_reach(evaluation, stored):
    recording, _, train, valid = stored
    counts, condition = recording.counts[:, 2:11], recording.condition
    averages = np.stack([np.nanmean(counts[train][condition[train] == c], 0) for c in range(3)])
    target = gaussian_filter1d(averages, 5, axis=1, mode="reflect")
    true = recording.true_rates[valid][:, 2:11] * BIN
    means = np.stack([true[condition[valid] == c].mean(0) for c in range(3)])
    wanted = np.mean([r2_score(target[:, :, n].ravel(), means[:, :, n].ravel()) for n in range(6)])
    found = evaluation.score("psth_r2_averaged")
    assert found.details["true_rates"] == pytest.approx(wanted)
    assert found.caution == f"the true rates reach {wanted:.3f}"
    assert found.caution in found.note
    (row,) = (row for row in to_rows(evaluation) if row.name == "psth r2 averaged")
    assert f"(validation set, used for selection; {found.caution})" in headline([row])


def test_psth_r2_of_short_trials_without_truth_is_cautioned(run, stored):
    recording = replace(stored[0], true_rates=None)
    found = evaluate_run(
        run, recording=recording, which_set="valid", protocol=Protocol(n_bootstrap=0)
    ).score("psth_r2_averaged")
    assert "true_rates" not in found.details
    assert "trials of 0.09 s" in found.caution


def test_truth_and_coverage(evaluation, stored):
    recording, rates, train, valid = stored
    found, std = (
        rates[name].values[valid].astype(float) for name in ("rates", "rate_posterior_std")
    )
    truth = recording.true_rates[valid][:, 2:]
    wanted = r2_score(truth.reshape(-1, 6), found.reshape(-1, 6))
    assert evaluation.score("true_rates_r2").value == pytest.approx(wanted)
    for level in (0.5, 0.9):
        inside = np.abs(truth - found) <= norm.ppf(0.5 + level / 2) * std
        score = evaluation.score(f"coverage_of_{100 * level:.0f}_percent_band")
        assert score.value == pytest.approx(inside.mean())
    factors, latents = rates["factors"].values.astype(float), recording.true_latents[:, 2:]
    affine = LinearRegression().fit(factors[train].reshape(-1, 3), latents[train].reshape(-1, 2))
    decoded = affine.predict(factors[valid].reshape(-1, 3))
    wanted = r2_score(latents[valid].reshape(-1, 2), decoded)
    assert evaluation.score("true_latents_r2").value == pytest.approx(wanted, rel=1e-4)


def test_the_divergence_of_inputs_is_that_of_the_loss(run, evaluation, stored):
    recording, rates, _, valid = stored
    model = load_model(run, recording)
    task = model.assembly.task
    named = task.layout.views(model.weights)
    trials = model.assembly.trials.take(torch.as_tensor(valid))
    weights = ModelWeights.arrange(named, task.session_names)
    streams = Streams(0, torch.tensor([model.member]))
    index = torch.arange(len(valid))[None]
    total = 0.0
    for sample in range(inputs.N_SAMPLES):
        noise = StreamNoise(streams, "divergence", sample, trials.rows[index], task.dtype)
        posterior = forward(task, trials, index, 0, weights, noise).inputs
        total += float(task.priors.inputs.divergence(posterior, named).mean()) / inputs.N_SAMPLES
    found = [evaluation.score(f"inferred_input_{u}_kl") for u in range(2)]
    assert sum(score.value for score in found) == pytest.approx(total, rel=1e-4)
    variance = task.priors.inputs.variance(named)[0].detach().numpy()
    mean = rates["inferred_input_mean"].values[valid]
    for u in range(2):
        wanted = mean[:, :, u].var() / variance[u]
        score = evaluation.score(f"inferred_input_{u}_variance")
        assert score.value == pytest.approx(wanted, rel=1e-4)
        assert not score.is_comparable


def test_pulses_are_timed_against_chance(evaluation, stored):
    recording, _, _, valid = stored
    has_pulse = recording.true_inputs[valid].any(axis=(1, 2))
    score = evaluation.score("inferred_input_timing")
    assert 0 < has_pulse.sum() < len(valid)
    assert score.n_trials == has_pulse.sum() == sum(score.details["lead_lag_counts"])
    assert set(score.beside) == {
        "chance (random bin)",
        "chance (other trials' pulses)",
        "by innovations",
    }
    assert score.trial_ids.tolist() == recording.trial_ids[valid][has_pulse].tolist()


def test_pulses_are_timed_by_the_largest_input_over_its_stationary_width(evaluation, run, stored):
    recording, rates, _, valid = stored
    is_on = recording.true_inputs[valid, 2:, 0] != 0  # two bins start the generator
    mean = rates["inferred_input_mean"].values[valid].astype(float)
    prior = inputs.prior_of(load_model(run, recording))
    stationary = mean / rates.attrs["input_prior_std"]
    innovations = stationary.copy()
    step = mean[:, 1:] - prior.coefficient * mean[:, :-1]
    innovations[:, 1:] = step / np.sqrt(prior.variance)
    errors = [
        BIN * ((each**2).sum(axis=2).argmax(axis=1) - is_on.argmax(axis=1))[is_on.any(axis=1)]
        for each in (stationary, innovations)
    ]
    score = evaluation.score("inferred_input_timing")
    assert not np.array_equal(*errors)
    np.testing.assert_allclose(score.trial_score.error_s, errors[0], atol=1e-9)
    share = (np.abs(errors[1]) < 0.031).mean()
    assert score.beside["by innovations"] == pytest.approx(share)


def test_pulse_times_are_onsets_and_nothing_else_is_a_pulse():
    time_s = np.arange(5) * 0.1
    on = np.zeros((3, 5, 2))
    on[0, 2:4, 1] = -3.0
    on[2, 0, 0] = 1.0
    np.testing.assert_allclose(inputs.pulse_times(on, time_s), [0.2, np.nan, 0.0])
    twice = on.copy()
    twice[0, 0] = 1.0
    for wrong in (twice, np.ones((2, 5, 1)), np.zeros((2, 5, 1))):
        with pytest.raises(DataError, match="not pulses"):
            inputs.pulse_times(wrong, time_s)


def test_resampled_means_and_variances_are_those_of_the_drawn_trials():
    rng = np.random.default_rng(1)
    values, drawn = rng.normal(3, 1, (5, 4)), np.array([0, 0, 2, 4, 4])
    weights = np.bincount(drawn, minlength=5)[None]
    mean, variance = inputs.TrialMean(values[:, 0]), inputs.TrialVariance(values, 2.0)
    assert mean.value == pytest.approx(values[:, 0].mean())
    assert mean.resample(weights)[0] == pytest.approx(values[drawn, 0].mean())
    assert variance.value == pytest.approx(values.var() / 2)
    assert variance.resample(weights)[0] == pytest.approx(values[drawn].var() / 2)


def test_baselines_of_every_entry_and_the_slow_ones_when_asked(run, evaluation, stored):
    recording, _, train, valid = stored
    score = evaluation.score("baseline_unit_mean_forward_bits_per_spike")
    counts, mean = recording.counts[valid, 11], np.nanmean(recording.counts[train][:, 2:], (0, 1))
    null = np.nanmean(counts, 0)
    nll = [
        np.nansum(rate * np.isfinite(counts) - np.nan_to_num(counts) * np.log(rate))
        for rate in (null, mean)
    ]
    assert score.value == pytest.approx((nll[0] - nll[1]) / np.nansum(counts) / np.log(2))
    names = {each.name for each in evaluation.scores}
    assert "baseline_condition_mean_masked_bits_per_spike" in names
    assert "baseline_smoothed_behaviour_hand_r2" in names
    cheap = evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=0))
    assert not any("smoothed" in each.name for each in cheap.scores)


def test_the_json_is_what_the_page_reads(evaluation):
    content = json.loads(json.dumps(to_json(evaluation), allow_nan=False))
    assert (content["format"], content["set"], content["n_trials"]) == (
        "lfads-torch scores", "valid", len(evaluation.trial_ids),
    )  # fmt: skip
    assert set(content["beta"]) == {"initial_condition", "inputs"}
    rows = score_rows(content)
    assert rows == to_rows(evaluation)
    assert [row.name for row in rows] == [s.name.replace("_", " ") for s in evaluation.scores]
    assert rows[0].name == "masked bits per spike"
    assert rows[0].interval
    assert all(row.used_for_selection and row.set_name == "validation" for row in rows)
    held_out = next(row for row in rows if row.name == "co smoothing bits per spike")
    assert held_out.value == "-"
    assert "no unit is held out" in held_out.note


def test_a_set_without_trials_names_the_remedy(run):
    with pytest.raises(DataError, match=r"test set has no trials.*test: 0.*lfads split"):
        evaluate_run(run, which_set="test")


def test_a_new_recording_is_scored_by_decoders_of_the_run(run, stored):
    """Units in another order and no split: the figures of the run's own trials, marked new."""
    recording = stored[0]
    order = np.array([3, 0, 5, 1, 4, 2])
    fresh = replace(recording.take_units(order), split=None, session="other")
    found = evaluate_run(run, which_set="all", recording=fresh, protocol=Protocol(n_bootstrap=0))
    own = evaluate_run(run, which_set="all", protocol=Protocol(n_bootstrap=0))
    assert found.is_new_recording
    assert found.rates_from == "inferred"
    for score in found.scores:
        assert (score.set, score.is_used_for_selection) == ("new", False)
        wanted = own.score(score.name).value
        assert score.value == (None if wanted is None else pytest.approx(wanted, rel=1e-4))
    assert own.score("true_rates_r2").is_used_for_selection
    with pytest.raises(DataError, match=r"carries no split.*lfads split"):
        evaluate_run(run, which_set="test", recording=fresh)


def test_the_runs_own_split_counts_whatever_the_file_says(run, stored):
    recording, _, _, valid = stored
    wrong = np.full(recording.n_trials, "test")
    disguised = recording.with_split(
        Split(trial_set=wrong, is_encoded=np.ones(6, dtype=bool), n_encoded_bins=11)
    )
    with pytest.raises(DataError, match="test set has no trials"):
        evaluate_run(run, which_set="test", recording=disguised)
    found = evaluate_run(
        run, which_set="valid", recording=disguised, protocol=Protocol(n_bootstrap=0)
    )
    assert found.trial_ids.tolist() == recording.trial_ids[valid].tolist()
    assert not found.is_new_recording
    assert found.rates_from == "rates.nc"


def test_rates_of_something_else_are_refused(run, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        evaluate_run(run, which_set="valid", rates_path=tmp_path / "rates.nc")
    fresh = rich_recording(3)
    fresh = replace(fresh, trial_ids=fresh.trial_ids + 1)
    with pytest.raises(DataError, match="its trial ids"):
        evaluate_run(run, which_set="all", recording=fresh, rates_path=run.rates_path)


def test_continuous_signals_without_anything_known(tmp_path):
    """Gaussian, no controller, no conditions, behaviour or truth: reasons, and a masked R2."""
    plain = rich_recording(n_missing=0)
    plain = replace(
        plain, counts=plain.counts + 0.5, condition=None, behaviour={}, true_rates=None,
        true_latents=None, true_inputs=None,
    )  # fmt: skip
    run = fitted(
        plain, tmp_path / "run", "loss.observation=gaussian", "model.n_inferred_inputs=0",
        "inference.n_samples=0",
    )  # fmt: skip
    found = evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=20))
    applicable = {score.name for score in found.scores if score.value is not None}
    assert applicable == {"masked_r2", "encoded_r2", "baseline_unit_mean_masked_r2"}
    reasons = {score.name: score.reason for score in found.scores if score.value is None}
    assert "gaussian" in reasons["masked_bits_per_spike"]
    assert reasons["behaviour_r2"] == "the recording has no behaviour"
    assert reasons["psth_r2_averaged"] == "the recording has no conditions"
    assert reasons["baseline_condition_mean_masked_r2"] == "the recording has no conditions"
    assert reasons["true_rates_r2"] == "true rates are not known"
    assert reasons["inferred_input_kl"] == "the model has no inferred inputs"
