"""A peer computes rates and bits per spike from the first parameter, whatever the family."""

from __future__ import annotations

import torch
from tiny_models import Tiny
from two_parameter_family import Gamma

from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.training.score import forward, validation_reconstruction


def test_a_family_says_itself_what_its_mean_and_its_likelihood_are():
    tiny = Tiny(observation="two_parameter_family:Gamma", training={"score_latent": "mean"})
    task, trials = tiny.task(), tiny.trials(4)
    state = tiny.state(task)
    weights = ModelWeights.arrange(task.layout.views(state.weights), ("session",))
    output = forward(task, trials, torch.arange(4)[None], 0, weights, Silence())
    parameters = output.parameters[0][0]  # [B, T, K, N]
    a, b = parameters[:, :, 0].exp(), parameters[:, :, 1].exp()

    options = PosteriorOptions(n_samples=0)
    (chunk,) = posterior_averages(state.weights, 0, task, trials, options)
    torch.testing.assert_close(chunk.mean_counts, a / b - 1.0)

    expected = -torch.distributions.Gamma(a, b).log_prob(trials.counts + 1.0).mean()
    found = validation_reconstruction(state, task, (trials,), seed=0)
    torch.testing.assert_close(found, expected[None])
    assert isinstance(task.observations[0], Gamma)
