"""All observation families alike: against scipy, their own samples, and in awkward places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from family_cases import CONTINUOUS, FAMILIES, SPIKING, moments_of, random_parameters, scipy_nll
from scipy import stats

from lfads_torch.loss.observations.choose import choose_observation
from lfads_torch.loss.observations.gamma import Gamma
from lfads_torch.loss.observations.negative_binomial import NegativeBinomial
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.observations.zero_inflated_gamma import ZeroInflatedGamma
from lfads_torch.loss.settings import LossSettings

SETTINGS = LossSettings(fixed_variance=0.3, zero_inflated_gamma_location=0.2)
SHAPE = (2, 3, 7, 5)  # P, B, T, N
every_family = pytest.mark.parametrize("name", FAMILIES)


def case(name: str, *shape: int, seed: int = 1):
    family = choose_observation(name, SETTINGS)
    parameters = random_parameters(family, *(shape or SHAPE), seed=seed)
    return family, parameters, family.sample(parameters, np.random.default_rng(seed))


def value(family, parameters, values):
    return family.negative_log_likelihood(parameters, values) + family.constant(values)


@every_family
def test_the_likelihood_is_that_of_scipy(name):
    family, parameters, values = case(name)
    found = value(family, parameters, values).numpy()
    np.testing.assert_allclose(found, scipy_nll(family, parameters, values), rtol=1e-8, atol=1e-9)


@every_family
def test_gradients_in_double_precision(name):
    family, parameters, values = case(name, 2, 3)
    few = parameters.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: family.negative_log_likelihood(p, values), (few,))


@every_family
def test_single_precision_keeps_its_digits(name):
    """Also where dispersion or shape is so large that differences of lgamma would be noise."""
    family = choose_observation(name)  # a location would cost digits in `y - location`
    parameters = random_parameters(family, 200, 3)
    if family.n_parameters > 1:
        parameters[..., 1, :] += torch.tensor([0.0, 6.0, 12.0], dtype=torch.float64)
    values = family.sample(parameters, np.random.default_rng(2)).float().double()
    exact = value(family, parameters, values)
    found = value(family, parameters.float(), values.float())
    torch.testing.assert_close(found.double(), exact, rtol=2e-4, atol=2e-4)


@every_family
def test_samples_are_of_the_family(name):
    """Mean of many draws within its standard error, and the share below each value as scipy's."""
    family = choose_observation(name, SETTINGS)
    one = random_parameters(family, 1, 4, seed=3).expand(20_000, -1, -1)
    drawn = family.sample(one, np.random.default_rng(4))
    error = drawn.std(0) / len(drawn) ** 0.5
    assert bool(((drawn.mean(0) - family.mean(one[0])).abs() < 4.5 * error).all())
    entropy = value(family, one, drawn)  # its mean is the same for scipy's own draws
    assert drawn.dtype == torch.float64
    assert bool(entropy.isfinite().all())


def test_samples_of_the_gamma_families_have_their_shape():
    family = Gamma()
    parameters = torch.tensor([[[0.3], [1.1]]], dtype=torch.float64).expand(5000, -1, -1)
    drawn = family.sample(parameters, np.random.default_rng(0))[:, 0].numpy()
    shape = np.exp(1.1)
    assert stats.kstest(drawn, stats.gamma(shape, scale=np.exp(0.3) / shape).cdf).pvalue > 1e-3
    inflated = ZeroInflatedGamma(0.5)
    gated = torch.cat([parameters, torch.zeros_like(parameters[:, :1])], 1)
    drawn = inflated.sample(gated, np.random.default_rng(1))[:, 0].numpy()
    law = stats.gamma(shape, loc=0.5, scale=np.exp(0.3) / shape)
    assert stats.kstest(drawn[drawn > 0], law.cdf).pvalue > 1e-3


@every_family
def test_a_start_from_the_data_has_their_mean_and_is_near_the_best_constant(name):
    family, _, _ = case(name)
    one = 0.5 * random_parameters(family, 1, 5, seed=5).expand(4000, -1, -1)
    values = family.sample(one, np.random.default_rng(6))
    moments = moments_of(values)
    bias = family.initial_bias(moments)
    assert bias.shape == (family.n_parameters, 5)
    torch.testing.assert_close(family.mean(bias), moments.mean, rtol=1e-6, atol=1e-6)
    of_start, of_truth = (
        value(family, p.expand(4000, -1, -1), values).mean(0) for p in (bias, one)
    )
    # Moments are no likelihood, yet must start far closer to it than a wrong scale would.
    assert bool((of_start - of_truth < 0.1).all())


@every_family
def test_the_link_gives_back_the_mean(name):
    family, _, values = case(name)
    moments = moments_of(values)
    wanted = moments.mean * torch.linspace(0.5, 1.2, 3, dtype=torch.float64)[:, None]
    bias = family.initial_bias(moments)
    first = family.link(wanted, moments)
    parameters = bias.expand(3, -1, -1).clone()
    parameters[:, 0] = first
    floored = family.mean(parameters)
    if name in ("zero_inflated_gamma",):  # no event is smaller than the location
        at_least = 0.2 * (1 - moments.zero_share)
        assert bool((floored >= torch.minimum(wanted, at_least) - 1e-9).all())
        wanted, floored = wanted[-1:], floored[-1:]
    if name == "bernoulli":
        wanted = wanted.clamp_max(1.0 - 0.5 / moments.n_entries)
    torch.testing.assert_close(floored, wanted, rtol=1e-6, atol=1e-9)


@every_family
def test_nothing_is_infinite_where_an_entry_is_missing_or_a_unit_is_silent(name):
    """Missing entries are 0 and masked later: an infinite value would leave a NaN gradient."""
    family, parameters, _ = case(name, 3, 2)
    zeros = torch.zeros(3, 2, dtype=torch.float64)
    leaf = parameters.clone().requires_grad_()
    found = family.negative_log_likelihood(leaf, zeros)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    assert bool(found.isfinite().all())
    assert bool(gradient.isfinite().all())
    assert bool(family.constant(zeros).isfinite().all())
    silent = moments_of(zeros)
    bias = family.initial_bias(silent)
    assert bool(bias.isfinite().all())
    assert bool(value(family, bias, zeros).isfinite().all())


@pytest.mark.parametrize("name", SPIKING)
def test_far_parameters_stay_finite_in_single_precision(name):
    family = choose_observation(name)
    far = torch.full((family.n_parameters, 1), -40.0).requires_grad_()
    found = family.negative_log_likelihood(far, torch.ones(1))
    (gradient,) = torch.autograd.grad(found.sum(), far)
    assert bool(found.isfinite().all())
    assert bool(gradient.isfinite().all())
    assert gradient[0].item() < 0.0  # a spike pulls the mean up


def test_a_negative_binomial_without_excess_is_poisson():
    parameters, counts = case("poisson")[1:]
    wide = torch.cat([parameters, torch.full_like(parameters, 40.0)], -2)
    found = value(NegativeBinomial(), wide, counts)
    torch.testing.assert_close(found, value(Poisson(), parameters, counts), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "outside", "inside"),
    [
        ("bernoulli", (2.0, -1.0, 0.5, np.inf), (0.0, 1.0, np.nan)),
        ("negative_binomial", (-1.0, 0.5, np.inf), (0.0, 9.0, np.nan)),
        ("zero_inflated_poisson", (-1.0, 0.5, np.inf), (0.0, 9.0, np.nan)),
        ("poisson_softplus", (-1.0, 0.5, np.inf), (0.0, 9.0, np.nan)),
        ("gamma", (0.0, -1.0, np.inf), (0.5, 3.0, np.nan)),
        ("zero_inflated_gamma", (-1.0, 0.1, np.inf), (0.0, 0.5, np.nan)),
        ("gaussian_fixed_variance", (np.inf,), (-3.0, 0.0, np.nan)),
    ],
)
def test_the_support(name, outside, inside):
    family = choose_observation(name, SETTINGS)
    assert family.support_error(torch.tensor(inside)) is None
    wrong, needed = family.support_error(torch.tensor((*inside, *outside)))
    assert wrong.tolist() == [False] * len(inside) + [True] * len(outside)
    assert needed


def test_which_families_count_spikes():
    assert SPIKING == (
        "poisson", "poisson_softplus", "negative_binomial", "bernoulli", "zero_inflated_poisson",
    )  # fmt: skip
    assert len(CONTINUOUS) == 4


def test_constants_come_from_the_settings():
    settings = replace(SETTINGS, fixed_variance=2.5)
    assert choose_observation("gaussian_fixed_variance", settings).variance == 2.5
    assert choose_observation("zero_inflated_gamma", settings).location == 0.2
