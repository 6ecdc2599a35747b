"""A model without its variational part: means alone, no divergence, nothing sampled."""

from __future__ import annotations

import pytest
import torch
from tiny_models import KeyedNoise, Tiny

from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.step import training_step


def output(tiny: Tiny, noise: object):
    task, trials = tiny.task(), tiny.trials(4)
    state = tiny.state(task, (0, 1))
    weights = ModelWeights.arrange(task.layout.views(state.weights), ("session",))
    counts = trials.counts[None, :, : tiny.n_encoded_bins].expand(2, -1, -1, -1)
    external = trials.external_inputs[None].expand(2, -1, -1, -1)
    given = ModelInput((counts,), (0,), external)
    return lfads(given, weights, noise, task.model, task.sizes, kernels=task.kernels)


@pytest.mark.parametrize("kernels", ["reference", "portable"])
def test_nothing_is_sampled_whatever_noise_there_is(kernels):
    tiny = Tiny(model={"variational": False}, kernels=kernels)
    noise = KeyedNoise(2, 4)
    found, silent = output(tiny, noise), output(tiny, Silence())
    assert not any(site.startswith("sample") for site in noise.drawn)
    torch.testing.assert_close(found.parameters, silent.parameters, rtol=0.0, atol=0.0)
    assert torch.equal(found.inputs.sample, found.inputs.mean)
    assert torch.equal(found.initial_condition.sample, found.initial_condition.mean)


def test_there_are_no_priors_and_their_terms_are_zero():
    tiny = Tiny(model={"variational": False})
    task, trials = tiny.task(), tiny.trials(4)
    assert not any("prior" in spec.name for spec in task.layout.specs)
    state = tiny.state(task, (0, 1))
    before = state.weights.clone()
    index = torch.arange(4).expand(2, -1)
    report = training_step(state, task, (trials,), (index,), seed=1)
    assert report.terms.kl_initial_condition.tolist() == [0.0, 0.0]
    assert report.terms.kl_inputs.tolist() == [0.0, 0.0]
    assert bool(report.is_finite.all())
    assert not torch.equal(state.weights, before)


def test_score_and_inference_take_the_mean():
    tiny = Tiny(model={"variational": False})
    task, trials = tiny.task(), tiny.trials(4)
    state = tiny.state(task)
    scores = []
    for epoch in (0, 1):
        state.epoch = epoch
        scores.append(validation_reconstruction(state, task, (trials,), seed=0))
    assert torch.equal(*scores)
    many, none = (
        next(posterior_averages(state.weights, 0, task, trials, PosteriorOptions(n_samples=n)))
        for n in (7, 0)
    )
    assert torch.equal(many.mean_counts, none.mean_counts)
    assert not bool(many.mean_counts_std.any())
