"""Posterior averages against a loop over trials and samples with the same noise."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from slow_model import SlowSizes, SlowTrial, slow_trial
from tiny_models import Tiny

from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.outputs.posterior import (
    PosteriorAverages,
    PosteriorOptions,
    posterior_averages,
)
from lfads_torch.training.score import forward
from lfads_torch.training.streams import Streams

SEED, MEMBER = 19, 6


def averages(
    tiny: Tiny, *, n_trials: int = 5, is_visible=None, trials=None, **options
) -> PosteriorAverages:
    """All chunks put together."""
    task = tiny.task()
    chunks = list(
        posterior_averages(
            tiny.state(task, members=(MEMBER,)).weights,
            MEMBER,
            task,
            trials or tiny.trials(n_trials),
            PosteriorOptions(seed=SEED, has_generator_states=True, **options),
            is_visible=is_visible,
        )
    )
    assert [chunk.start for chunk in chunks] == list(
        np.cumsum([0, *(len(chunk.factors) for chunk in chunks[:-1])])
    )
    joined = {
        f.name: None
        if getattr(chunks[0], f.name) is None
        else torch.cat([getattr(chunk, f.name) for chunk in chunks])
        for f in fields(PosteriorAverages)
        if f.name != "start"
    }
    return PosteriorAverages(start=0, **joined)


def assert_same(found: PosteriorAverages, expected: PosteriorAverages) -> None:
    for f in fields(PosteriorAverages):
        if f.name != "start":
            torch.testing.assert_close(
                getattr(found, f.name), getattr(expected, f.name), rtol=1e-12, atol=1e-13
            )


def slow_samples(tiny: Tiny, trial: int, n_samples: int) -> list[SlowTrial]:
    """Every sample of one trial in the slow model; sample s draws from step s of its sites."""
    task, trials = tiny.task(), tiny.trials(5)
    state = tiny.state(task, members=(MEMBER,))
    own = {name: v[0].numpy() for name, v in task.layout.views(state.weights).items()}
    streams, rows = Streams(SEED, torch.tensor([MEMBER])), trials.rows[[trial]][None]
    model = task.model
    n_generated = tiny.n_bins - model.ic_bins
    shapes = {
        "sample.initial_condition": (model.initial_condition_size,),
        "sample.inputs": (n_generated, model.n_inferred_inputs),
    }
    sizes = SlowSizes(
        tiny.n_bins, tiny.n_encoded_bins, model.ic_bins, model.controller_lag_bins,
        model.cell_clip, model.initial_condition_variance_floor, tiny.encoded_units,
    )  # fmt: skip
    samples = []
    for s in range(n_samples):

        def drawn(site: str, s: int = s):
            if site not in shapes:
                return None
            numbers = streams.normal(f"posterior.{site}", s, rows, int(np.prod(shapes[site])))
            return numbers.double().numpy().reshape(shapes[site])

        counts = trials.counts[trial, : tiny.n_encoded_bins].numpy()
        external = trials.external_inputs[trial].numpy()
        samples.append(slow_trial(counts, external, own, drawn, sizes))
    return samples


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_averages_are_means_over_samples_drawn_one_by_one(ic_bins):
    tiny = Tiny(model={"ic_bins": ic_bins}, missing_share=0.2)
    found = averages(tiny, n_samples=4)
    for trial in (0, 3):
        samples = slow_samples(tiny, trial, 4)

        def over_samples(make, samples=samples) -> np.ndarray:
            return np.mean([make(sample) for sample in samples], axis=0)

        rates = np.stack([np.exp(sample.parameters) for sample in samples])
        expected = {
            "mean_counts": rates.mean(0),
            "mean_counts_std": rates.std(0),
            "factors": over_samples(lambda s: s.factors),
            "initial_condition_mean": samples[0].ic_mean,
            "initial_condition_std": samples[0].ic_std,
            "generator_start": over_samples(lambda s: s.generator_start),
            "generator_states": over_samples(lambda s: s.generator_states),
            "input_mean": over_samples(lambda s: s.input_mean),
            "input_std": over_samples(lambda s: np.exp(0.5 * s.input_log_variance)),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(
                getattr(found, name)[trial].numpy(), value, rtol=1e-9, atol=1e-11, err_msg=name
            )


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
def test_the_chunk_size_is_irrelevant(batch_size):
    tiny = Tiny()
    assert_same(averages(tiny, n_samples=3, batch_size=batch_size), averages(tiny, n_samples=3))


def test_which_other_trials_are_asked_for_is_irrelevant():
    tiny = Tiny()
    whole = averages(tiny, n_samples=3)
    some = averages(tiny, n_samples=3, trials=tiny.trials(5).take(torch.tensor([4, 1])))
    for f in fields(PosteriorAverages):
        if f.name != "start":
            torch.testing.assert_close(
                getattr(some, f.name), getattr(whole, f.name)[[4, 1]], rtol=1e-12, atol=1e-13
            )


def test_without_samples_the_posterior_means_are_followed():
    tiny = Tiny()
    task, trials = tiny.task(), tiny.trials(5)
    named = task.layout.views(tiny.state(task, members=(MEMBER,)).weights)
    weights = ModelWeights.arrange(named, ("session",))
    expected = forward(task, trials, torch.arange(5)[None], 0, weights, Silence())
    found = averages(tiny, n_samples=0)
    torch.testing.assert_close(found.mean_counts, expected.parameters[0][0, :, :, 0].exp())
    torch.testing.assert_close(found.factors, expected.signals.factors[0].transpose(0, 1))
    torch.testing.assert_close(found.input_mean, expected.inputs.mean[0].transpose(0, 1))
    assert not found.mean_counts_std.any()


def test_one_sample_has_no_spread_and_more_have():
    assert not averages(Tiny(), n_samples=1).mean_counts_std.any()
    assert bool((averages(Tiny(), n_samples=2).mean_counts_std > 0).all())


def test_phases_seeds_and_members_draw_different_numbers():
    tiny = Tiny()
    usual = averages(tiny, n_samples=2)
    other_phase = averages(tiny, n_samples=2, phase="masked")
    assert bool((usual.mean_counts != other_phase.mean_counts).all())


def test_without_a_controller_or_states_there_are_none():
    tiny = Tiny(model={"n_inferred_inputs": 0})
    task = tiny.task()
    weights = tiny.state(task).weights
    (chunk,) = posterior_averages(weights, 0, task, tiny.trials(2), PosteriorOptions(n_samples=2))
    assert (chunk.input_mean, chunk.input_std, chunk.generator_states) == (None, None, None)


def visible_mask(tiny: Tiny, n_trials: int = 5) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.rand(n_trials, tiny.n_encoded_bins, tiny.n_units, generator=random) < 0.7


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_hidden_entries_have_no_effect_at_all(ic_bins):
    """Bins before `ic_bins` are never hidden in training, and so not here."""
    tiny = Tiny(model={"ic_bins": ic_bins})
    is_visible, changed = visible_mask(tiny), tiny.trials(5)
    is_visible[:, :ic_bins] = True
    encoded = changed.counts[:, : tiny.n_encoded_bins]
    encoded[~is_visible] += 7.0
    usual = averages(tiny, n_samples=2, is_visible=is_visible)
    found = averages(tiny, n_samples=2, is_visible=is_visible, trials=changed)
    for f in fields(PosteriorAverages):
        assert f.name == "start" or torch.equal(getattr(found, f.name), getattr(usual, f.name))
    assert not torch.equal(usual.mean_counts, averages(tiny, n_samples=2).mean_counts)


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_what_stays_visible_is_scaled_up_by_the_share_hidden_of_the_encoded_units(ic_bins):
    tiny = Tiny(model={"ic_bins": ic_bins})
    is_visible, scaled = visible_mask(tiny), tiny.trials(5)
    shown = is_visible[:, ic_bins:]
    share = shown[:, :, list(tiny.encoded_units)].double().mean((1, 2))[:, None, None]
    scaled.counts[:, ic_bins : tiny.n_encoded_bins] *= shown / share
    assert_same(
        averages(tiny, n_samples=2, is_visible=is_visible),
        averages(tiny, n_samples=2, trials=scaled),
    )


def test_the_share_is_that_of_a_trials_own_bins():
    """What is hidden behind the end of a short trial scales nothing."""
    tiny = Tiny(model={"ic_bins": 2})
    is_visible = visible_mask(tiny)
    ends = torch.tensor([tiny.n_encoded_bins - 1, 4, 5, tiny.n_encoded_bins, 4])
    short = replace(tiny.trials(5), n_trial_bins=ends)
    beyond = torch.arange(tiny.n_encoded_bins) >= ends[:, None]
    usual, other = is_visible.clone(), is_visible.clone()
    usual[beyond], other[beyond] = True, False
    found = [averages(tiny, n_samples=2, trials=short, is_visible=each) for each in (usual, other)]
    is_own = torch.arange(found[0].mean_counts.shape[1]) < (ends - 2)[:, None]
    assert beyond.any()
    torch.testing.assert_close(found[0].mean_counts[is_own], found[1].mean_counts[is_own])
