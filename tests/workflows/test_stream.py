"""Streaming: the numbers of the whole-trial pass, bin by bin."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch import LFADS
from lfads_torch.errors import DataError, RunError, SettingsError

SETTINGS = {
    "model.ic_encoder_size": 4, "model.controller_encoder_size": 3, "model.controller_size": 5,
    "model.generator_size": 6, "model.n_factors": 3, "model.n_inferred_inputs": 2,
    "model.initial_condition_size": 3, "model.causal_controller": True, "model.ic_bins": 3,
    "training.epochs": 1, "training.batch_size": 8, "loss.kl_ramp_increase": 0,
    "loss.l2_ramp_increase": 0, "inference.n_samples": 5, "split.held_out_fraction": 0.2,
}  # fmt: skip
N_TRIALS, N_BINS, N_UNITS = 17, 11, 6


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    counts = random.poisson(0.8, (N_TRIALS, N_BINS, N_UNITS)).astype(float)
    counts[2, 5, 1] = np.nan
    external = random.normal(size=(N_TRIALS, N_BINS, 2))
    return counts, external, random.normal(size=(N_TRIALS, 2))


def fitted(**settings) -> LFADS:
    counts, external, of_trial = data()
    model = LFADS(bin_width_s=0.01, settings={**SETTINGS, **settings})
    return model.fit(counts, external_inputs=external, trial_inputs=of_trial)


def streamed(stream, model, trial: int) -> np.ndarray:
    counts, external, of_trial = data()
    n_forward = int(model.settings_["split.n_forward_bins"])
    stream.reset(trial=trial, trial_inputs=of_trial[trial])
    rates = []
    for t in range(N_BINS):
        given = None if t >= N_BINS - n_forward else counts[trial, t]
        found = stream.step(given, external_inputs=external[trial, t])
        assert (found is None) == (t < 3)
        if found is not None:
            assert found.bin == t
            rates.append(found.rates)
    return np.array(rates)


EVERYWHERE = {
    "model.external_inputs_to": "generator, controller, encoders",
    "model.trial_inputs_to": "initial_condition, encoders, controller",
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"model.controller_lag_bins": 0, **EVERYWHERE},
        {"model.controller_lag_bins": 3, "split.n_forward_bins": 2},
        {"model.n_inferred_inputs": 0, "model.causal_controller": False},
        {"model.external_inputs_to": "none", "model.trial_inputs_to": "none",
         "model.n_inferred_inputs": 0},
    ],
    ids=lambda settings: "-".join(f"{k.split('.')[1]}={v}" for k, v in settings.items()),
)  # fmt: skip
def test_a_stream_gives_the_numbers_of_the_whole_trial(settings):
    model = fitted(**settings)
    counts, external, of_trial = data()
    whole = model.transform(counts, external_inputs=external, trial_inputs=of_trial)
    stream = model.stream()
    for trial in (2, 16):
        np.testing.assert_allclose(streamed(stream, model, trial), whole[trial], rtol=2e-5)


@pytest.fixture(scope="module")
def model() -> LFADS:
    return fitted()


def test_other_signals_and_longer_trials(model):
    counts, external, of_trial = data()
    signals = model.infer(counts, external_inputs=external, trial_inputs=of_trial)
    stream = model.stream(trial=1)
    stream.reset(trial=1, trial_inputs=of_trial[1])
    for t in range(40):
        found = stream.step(counts[1, t % N_BINS], external_inputs=external[1, t % N_BINS])
        if t == 5:
            expected = signals["factors"].values[1, t - 3]
            np.testing.assert_allclose(found.factors, expected, rtol=1e-4, atol=1e-5)
    assert found.bin == 39
    assert np.isfinite(found.rates).all()
    assert found.inferred_input.shape == (2,)


def test_the_posterior_mean_is_one_pass_without_noise(model):
    stream = model.stream(n_samples=0)
    rates = [streamed(stream, model, 4), streamed(model.stream(n_samples=0, trial=9), model, 4)]
    np.testing.assert_array_equal(rates[0], rates[1])
    assert not np.array_equal(rates[0], streamed(model.stream(), model, 4))


def test_what_cannot_be_stepped_says_why(model):
    counts, _, of_trial = data()
    stream = model.stream()
    with pytest.raises(DataError, match=r"trial_inputs has 0 numbers; the model needs 2"):
        stream.step(counts[0, 0], external_inputs=np.zeros(2))
    stream.reset(trial_inputs=of_trial[0])
    with pytest.raises(DataError, match=r"bin 0: counts has 3 numbers; the model needs 6"):
        stream.step(np.zeros(3), external_inputs=np.zeros(2))
    with pytest.raises(DataError, match=r"external_inputs has 0 numbers"):
        stream.step(counts[0, 0])
    with pytest.raises(DataError, match="the first 3 bins make the initial condition"):
        stream.step(None, external_inputs=np.zeros(2))
    stream.reset(trial_inputs=of_trial[0])
    for t in range(4):
        stream.step(counts[0, t], external_inputs=np.zeros(2))
    assert stream.step(None, external_inputs=np.zeros(2)) is not None
    with pytest.raises(DataError, match="counts come after a bin without"):
        stream.step(counts[0, 5], external_inputs=np.zeros(2))


def test_a_model_that_sees_later_bins_is_refused():
    with pytest.raises(SettingsError, match=r"the model is not causal \(model.ic_bins is 0"):
        fitted(**{"model.ic_bins": 0, "training.epochs": 1}).stream()


SESSIONS = {"monday": (17, 6), "tuesday": (14, 4)}  # trials and units


@pytest.fixture(scope="module")
def several() -> tuple[LFADS, dict[str, np.ndarray]]:
    """Three members of a model of two sessions of different units, without known inputs."""
    random = np.random.default_rng(3)
    counts = {
        name: random.poisson(0.8, (n_trials, N_BINS, n_units)).astype(float)
        for name, (n_trials, n_units) in SESSIONS.items()
    }
    settings = {**SETTINGS, "sessions.readin_size": 4}
    return LFADS(bin_width_s=0.01, n_seeds=3, settings=settings).fit(counts), counts


def test_any_member_of_any_session_by_name(several):
    model, counts = several
    whole = model.transform(counts, members="all")
    for member, session in ((1, "tuesday"), (2, "monday")):
        stream = model.stream(member=member, session=session)
        for trial in (0, 5):
            stream.reset(trial=trial)
            found = [stream.step(row) for row in counts[session][trial]]
            rates = np.array([each.rates for each in found if each is not None])
            np.testing.assert_allclose(rates, whole[session][member, trial], rtol=2e-5)
    best = model.stream(session="tuesday")
    found = [best.step(row) for row in counts["tuesday"][0]][-1].rates
    np.testing.assert_allclose(found, model.transform(counts)["tuesday"][0, -1], rtol=2e-5)


def test_who_is_not_there_is_told(several, model):
    found, _ = several
    with pytest.raises(SettingsError, match="has the sessions monday, tuesday, and a stream is of"):
        found.stream()
    with pytest.raises(RunError, match="there is no session 'wednesday'; there is monday, tuesday"):
        found.stream(session="wednesday")
    with pytest.raises(RunError, match=r"there is no member 3; there are \[0, 1, 2\]"):
        found.stream(session="monday", member=3)
    with pytest.raises(RunError, match="there is no session 'monday'"):
        model.stream(session="monday")


@pytest.mark.parametrize("wrong", [-1.0, 0.5, np.inf])
def test_what_the_fit_refuses_is_refused_when_applied(model, wrong):
    counts, external, of_trial = data()
    counts[4, 7, 3] = wrong
    beside = {"external_inputs": external, "trial_inputs": of_trial}
    needed = "1 values cannot come from a poisson observation, the first is"
    with pytest.raises(DataError, match=rf"the first is {wrong:g} at trial 4, bin 7, unit 3"):
        LFADS(bin_width_s=0.01).fit(counts)
    for apply in (model.transform, model.infer, model.score):
        with pytest.raises(DataError, match=rf"{needed} {wrong:g} at trial 4, bin 7, unit 3"):
            apply(counts, **beside)
    stream = model.stream(trial=4)
    stream.reset(trial_inputs=of_trial[4])
    for t in range(7):
        stream.step(counts[4, t], external_inputs=external[4, t])
    with pytest.raises(DataError, match=rf"bin 7: {needed} {wrong:g} at unit 3"):
        stream.step(counts[4, 7], external_inputs=external[4, 7])
    assert stream.bin == 7  # the bin may be given anew
    assert stream.step(np.full(N_UNITS, np.nan), external_inputs=external[4, 7]).bin == 7
