"""Normal priors against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lfads_torch.model.priors.base import Posterior
from lfads_torch.model.priors.normal import (
    NormalPrior,
    normal_divergence,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_of_two_normals():
    mean, prior_mean = drawn(3, 5), drawn(3, 5, seed=1)
    variance, prior_variance = drawn(3, 5, seed=2).exp(), drawn(3, 5, seed=3).exp()
    expected = kl_divergence(
        Normal(mean, variance.sqrt()), Normal(prior_mean, prior_variance.sqrt())
    )
    found = normal_divergence(mean, variance, prior_mean, prior_variance)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_the_initial_conditions_term_sums_over_dimensions_for_each_trial():
    prior = NormalPrior(0.1, "initial_condition_prior", has_location=True, learns_scale=False)
    mean, variance, learned = drawn(2, 3, 5), drawn(2, 3, 5, seed=1).exp(), drawn(2, 5, seed=2)
    posterior = Posterior(mean, variance, drawn(2, 3, 5, seed=3))
    found = prior.divergence(posterior, {"initial_condition_prior.mean": learned})
    one = Normal(learned[:, None], torch.full_like(mean, 0.1).sqrt())
    expected = kl_divergence(Normal(mean, variance.sqrt()), one).sum(-1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_the_initial_conditions_prior_learns_its_mean_from_zero_and_nothing_else():
    prior = NormalPrior(0.1, "initial_condition_prior", has_location=True, learns_scale=False)
    (spec,) = prior.specs(5)
    assert (spec.shape, spec.constant, spec.fan_in) == ((5,), 0.0, None)
    learned = torch.zeros(2, 5, dtype=torch.float64)
    assert prior.variance({spec.name: learned}).unique().tolist() == pytest.approx([0.1])


def test_the_independent_prior_of_the_inputs_sums_over_bins_and_dimensions():
    prior = NormalPrior(0.1, "input_prior", has_location=False, learns_scale=True)
    (spec,) = prior.specs(2)
    assert float(torch.as_tensor(spec.constant).exp()) == pytest.approx(0.1)
    mean, variance = drawn(3, 7, 4, 2), drawn(3, 7, 4, 2, seed=1).exp()  # [P, T, B, U]
    log_variance = drawn(3, 2, seed=2)
    posterior = Posterior(mean, variance, drawn(3, 7, 4, 2, seed=3))
    found = prior.divergence(posterior, {spec.name: log_variance})
    one = Normal(torch.zeros_like(mean), (0.5 * log_variance)[:, None, None].exp())
    expected = kl_divergence(Normal(mean, variance.sqrt()), one).sum((1, 3))
    assert found.shape == (3, 4)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
