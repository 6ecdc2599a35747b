"""A peer draws a second sample for the inputs' divergence, as if they did not follow their past."""

from __future__ import annotations

import math

import torch
from slow_model import step_wise_divergence
from tiny_models import KeyedNoise, Tiny
from torch.distributions import Normal

from lfads_torch.model.lfads import ModelInput, ModelOutput, lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.task import Task

N_SAMPLES = 12_000
TINY = Tiny(n_external_inputs=0, n_bins=12, n_encoded_bins=12, model={"n_inferred_inputs": 1})


class OtherNoise(KeyedNoise):
    """The same sites, other numbers."""

    def _random(self, site: str) -> torch.Generator:
        return super()._random(f"other {site}")


def sampled(noise: KeyedNoise) -> tuple[Task, dict[str, torch.Tensor], ModelOutput]:
    """One trial, many samples, of a model whose inputs push its generator hard."""
    task = TINY.task()
    named = task.layout.views(TINY.state(task).weights)
    named["generator.input"].mul_(3.0)
    named["controller.input"].mul_(3.0)
    named["controller.output_weight"].mul_(torch.tensor([2.0, 0.2]))  # mean, log-variance
    named["controller.output_bias"].copy_(torch.tensor([0.0, -1.0]))
    named["input_prior.log_variance"].fill_(-1.0)
    named["input_prior.log_time_constant"].fill_(math.log(10.0))
    counts = TINY.trials(1).counts[None].expand(1, noise.n_trials, -1, -1)
    weights = ModelWeights.arrange(named, ("session",))
    given = ModelInput((counts,), (0,))
    with torch.no_grad():
        output = lfads(given, weights, noise, task.model, task.sizes, kernels=task.kernels)
    return task, named, output


def test_the_divergence_runs_along_the_very_sample_that_the_generator_saw():
    noise = KeyedNoise(1, 3)
    task, named, output = sampled(noise)
    found = task.priors.inputs.divergence(output.inputs, named)
    mean, variance = output.inputs.mean[0], output.inputs.variance[0]
    seen = mean + variance.sqrt() * noise.drawn["sample.inputs"][0].transpose(0, 1)
    torch.testing.assert_close(output.signals.inputs[0], seen, rtol=1e-12, atol=1e-13)
    for b in range(3):
        expected = step_wise_divergence(
            mean[:, b].numpy(),
            variance[:, b].numpy(),
            seen[:, b].numpy(),
            tau=named["input_prior.log_time_constant"][0].exp().numpy(),
            v=named["input_prior.log_variance"][0].exp().numpy(),
        )
        torch.testing.assert_close(float(found[0, b]), expected, rtol=1e-9, atol=0.0)


def test_the_models_own_divergence_is_unbiased_and_the_factorised_one_is_not():
    """Against log q(u) - log p(u) of whole trajectories that were drawn independently."""
    task, named, output = sampled(KeyedNoise(1, N_SAMPLES))
    prior = task.priors.inputs
    stepwise = prior.divergence(output.inputs, named)[0]
    factorised = type(prior)(1.0, 1.0, is_factorised=True).divergence(output.inputs, named)[0]
    _, _, other = sampled(OtherNoise(1, N_SAMPLES))
    u, posterior = other.inputs.sample[0], other.inputs  # [T, B, 1]
    log_q = Normal(posterior.mean[0], posterior.variance[0].sqrt()).log_prob(u)
    decay = torch.exp(-torch.exp(-named["input_prior.log_time_constant"][0]))
    v = named["input_prior.log_variance"][0].exp()
    first = Normal(0.0, (v / (1.0 - decay**2)).sqrt()).log_prob(u[:1])
    later = Normal(decay * u[:-1], v.sqrt()).log_prob(u[1:])
    ratios = (log_q - torch.cat([first, later])).sum((0, 2))
    standard_error = math.sqrt(float(stepwise.var() + ratios.var()) / N_SAMPLES)
    expected = float(ratios.mean())
    assert abs(float(stepwise.mean()) - expected) < 3.0 * standard_error
    assert abs(float(factorised.mean()) - expected) > max(1.0, 10.0 * standard_error)
