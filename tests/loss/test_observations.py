"""Each family against scipy.stats: value with all constants, mean, start, support."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from lfads_torch.errors import DataError, SettingsError
from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.loss.observations.choose import check_support, choose_observation
from lfads_torch.loss.observations.gaussian import Gaussian
from lfads_torch.loss.observations.poisson import Poisson

SHAPE = (2, 3, 7, 5)  # P, B, T, N


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters_and_counts(family: Observation) -> tuple[torch.Tensor, torch.Tensor]:
    wide = (*SHAPE[:-1], family.n_parameters, SHAPE[-1])
    parameters = torch.randn(wide, generator=random(1), dtype=torch.float64)
    if family.is_spiking:
        rates = torch.full(SHAPE, 2.5, dtype=torch.float64)
        return parameters, torch.poisson(rates, generator=random(2))
    return parameters, torch.randn(SHAPE, generator=random(2), dtype=torch.float64)


def test_poisson_is_that_of_scipy():
    family = Poisson()
    parameters, counts = parameters_and_counts(family)
    found = family.negative_log_likelihood(parameters, counts) + family.constant(counts)
    expected = -stats.poisson.logpmf(counts.numpy(), np.exp(parameters[..., 0, :].numpy()))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)
    assert torch.equal(family.mean(parameters), parameters[..., 0, :].exp())


def test_gaussian_is_that_of_scipy():
    family = Gaussian()
    parameters, values = parameters_and_counts(family)
    found = family.negative_log_likelihood(parameters, values) + family.constant(values)
    mean, log_variance = parameters[..., 0, :].numpy(), parameters[..., 1, :].numpy()
    expected = -stats.norm.logpdf(values.numpy(), mean, np.exp(0.5 * log_variance))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11, atol=1e-12)
    assert torch.equal(family.mean(parameters), parameters[..., 0, :])


@pytest.mark.parametrize("family", [Poisson(), Gaussian()], ids=lambda family: family.name)
def test_gradients_in_double_precision(family):
    parameters, counts = parameters_and_counts(family)
    few = parameters[:1, :1, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: family.negative_log_likelihood(p, counts[:1, :1, :2]), (few,)
    )


@pytest.mark.parametrize("family", [Poisson(), Gaussian()], ids=lambda family: family.name)
def test_the_initial_bias_is_the_best_constant(family):
    """No constant parameters are likelier than those made from the data's own moments."""
    _, counts = parameters_and_counts(family)
    flat = counts.flatten(0, 2)
    n = torch.full((SHAPE[-1],), float(len(flat)), dtype=torch.float64)
    moments = UnitMoments(flat.mean(0), flat.var(0, unbiased=False), n)
    bias = family.initial_bias(moments).requires_grad_()
    assert bias.shape == (family.n_parameters, SHAPE[-1])
    total = family.negative_log_likelihood(bias.expand(len(flat), -1, -1), flat).sum()
    (gradient,) = torch.autograd.grad(total, bias)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0.0, atol=1e-10)


def test_a_constant_signal_starts_with_a_finite_log_variance():
    one = torch.ones(1, dtype=torch.float64)
    assert bool(Gaussian().initial_bias(UnitMoments(one, 0.0 * one, one)).isfinite().all())


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [(0.0, True), (7.0, True), (-1.0, False), (0.5, False), (float("inf"), False),
     (float("nan"), True)],
)  # fmt: skip
def test_the_support_of_counts(value, is_fine):
    counts = torch.ones(2, 3, 4)
    counts[1, 2, 3] = value
    if is_fine:
        check_support(Poisson(), counts, "day1.h5")
        return
    with pytest.raises(DataError) as caught:
        check_support(Poisson(), counts, "day1.h5")
    message = str(caught.value)
    assert message.startswith(f"day1.h5: 1 values cannot come from a poisson observation, "
                              f"the first is {value:g} at trial 1, bin 2, unit 3")  # fmt: skip
    assert "whole numbers of at least 0" in message
    assert "loss.observation=gaussian" in message


def test_gaussian_takes_any_finite_number():
    check_support(Gaussian(), torch.tensor([[[-1.5, float("nan")]]]), "x")
    with pytest.raises(DataError, match="finite numbers"):
        check_support(Gaussian(), torch.tensor([[[float("-inf"), 0.0]]]), "x")


def test_a_family_of_ones_own_is_named_by_module_and_class():
    found = choose_observation("lfads_torch.loss.observations.gaussian:Gaussian")
    assert isinstance(found, Gaussian)
    assert isinstance(choose_observation("poisson"), Poisson)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("poison", "Known are poisson, poisson_softplus, negative_binomial"),
        ("no_such_package:Family", "could not be loaded"),
        ("lfads_torch.loss.observations.poisson:Poison", "could not be loaded"),
        ("collections:OrderedDict", "is of another kind"),
    ],
)
def test_what_is_no_family_is_refused_by_name(name, needed):
    with pytest.raises(SettingsError) as caught:
        choose_observation(name)
    assert repr(name) in str(caught.value)
    assert needed in str(caught.value)
