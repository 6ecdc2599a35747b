"""Every prior's divergence against quadrature, its start, and what it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from flat_prior import Flat
from scipy import integrate, stats
from tiny_models import MODEL, Tiny

from lfads_torch.errors import SettingsError
from lfads_torch.model.priors.base import Posterior, Prior
from lfads_torch.model.priors.choose import PRIORS, initial_condition_prior, input_prior

INDEPENDENT = ("normal", "student_t", "laplace")
SETTINGS = replace(MODEL, prior_degrees_of_freedom=3.5, initial_condition_prior_scale="learned")
# Posterior mean, standard deviation, the prior's location and standard deviation.
CASES = [(0.0, 1.0, 0.0, 1.0), (0.7, 0.2, -0.4, 0.9), (-2.0, 0.05, 0.0, 0.3), (0.1, 2.5, 0.3, 0.4)]


def density(name: str, location: float, std: float):
    """The prior's own density, from scipy."""
    if name == "normal":
        return stats.norm(location, std).logpdf
    if name == "laplace":
        return stats.laplace(location, std / math.sqrt(2.0)).logpdf
    n = SETTINGS.prior_degrees_of_freedom
    return stats.t(n, location, std * math.sqrt((n - 2.0) / n)).logpdf


def by_quadrature(name: str, mean: float, std: float, location: float, prior_std: float) -> float:
    q, log_p = stats.norm(mean, std), density(name, location, prior_std)
    edges = sorted({mean - 12 * std, location, mean, mean + 12 * std})
    inside = [e for e in edges if mean - 12 * std <= e <= mean + 12 * std]
    total = 0.0
    for low, high in pairwise(inside):
        total += integrate.quad(
            lambda x: q.pdf(x) * (q.logpdf(x) - log_p(x)), low, high, epsabs=1e-12, limit=200
        )[0]
    return total


def of_initial_condition(name: str, location: float, std: float) -> tuple[Prior, dict]:
    """The prior of two members and one dimension, with weights that give this location and std."""
    chosen = replace(
        SETTINGS, initial_condition_prior=name, initial_condition_prior_variance=std**2
    )
    prior = initial_condition_prior(chosen)
    assert prior is not None
    named = {
        spec.name: torch.full((2, 1), float(spec.constant), dtype=torch.float64)
        for spec in prior.specs(1)
    }
    for weight in named:
        if "scale" not in weight and "variance" not in weight:
            named[weight] = torch.full((2, 1), location, dtype=torch.float64)
    return prior, named


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", INDEPENDENT)
def test_the_divergence_is_that_of_quadrature(name, case):
    mean, std, location, prior_std = case
    prior, named = of_initial_condition(name, location, prior_std)
    # Where one sample estimates it, its mean over a fine grid of samples is exact.
    grid = np.linspace(-9.0, 9.0, 1001)
    weights = torch.as_tensor(stats.norm.pdf(grid) * (grid[1] - grid[0]))
    wide = torch.full((2, len(grid), 1), mean, dtype=torch.float64)
    sample = mean + std * torch.as_tensor(grid)[None, :, None].expand(2, -1, -1)
    found = prior.divergence(Posterior(wide, torch.full_like(wide, std**2), sample), named)
    expected = by_quadrature(name, mean, std, location, prior_std)
    assert (found @ weights).tolist() == pytest.approx([expected] * 2, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_inputs_sum_over_bins_what_initial_conditions_have_once(name):
    settings = replace(SETTINGS, input_prior=name, initial_condition_prior=name,
                       input_prior_variance=0.1, initial_condition_prior_variance=0.1)  # fmt: skip
    of_inputs = input_prior(settings, bin_width_s=0.01)
    of_start = initial_condition_prior(settings)
    drawn = torch.randn(3, 2, 7, 4, 3, generator=torch.Generator().manual_seed(3)).double()
    named = {
        spec.name: torch.full((2, 3), float(spec.constant), dtype=torch.float64)
        for prior in (of_inputs, of_start)
        for spec in prior.specs(3)
    }
    found = of_inputs.divergence(Posterior(drawn[0], drawn[1].exp(), drawn[2]), named)
    bins = [
        of_start.divergence(Posterior(m, v.exp(), s), named)
        for m, v, s in zip(*(each.unbind(1) for each in drawn), strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(bins).sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variance", [0.1, 4.0])
@pytest.mark.parametrize("name", PRIORS)
def test_every_location_starts_at_zero_and_every_scale_gives_its_variance(name, variance):
    """A peer starts the location of its Student-t prior at the scale."""
    settings = replace(SETTINGS, input_prior=name, input_prior_variance=variance)
    found = [input_prior(settings, bin_width_s=0.01)]
    if name != "autoregressive":
        settings = replace(
            settings, initial_condition_prior=name, initial_condition_prior_variance=variance
        )
        found.append(initial_condition_prior(settings))
    for prior in found:
        specs = prior.specs(3)
        locations = [s for s in specs if s.name.endswith((".mean", ".location"))]
        assert all(s.constant == 0.0 and s.fan_in is None for s in locations)
        assert len(locations) == (prior is not found[0])
        named = {s.name: torch.full((1, 3), float(s.constant)).double() for s in specs}
        expected = variance
        if name == "autoregressive":
            expected = variance / (1 - math.exp(-2 / settings.input_prior_time_constant))
        assert prior.variance(named).tolist() == [[pytest.approx(expected, rel=1e-6)] * 3]


@pytest.mark.parametrize("name", INDEPENDENT)
def test_a_fixed_scale_is_no_weight(name):
    settings = replace(MODEL, initial_condition_prior=name, initial_condition_prior_variance=0.3)
    prior = initial_condition_prior(settings)
    (location,) = prior.specs(2)
    named = {location.name: torch.zeros(1, 2, dtype=torch.float64)}
    assert prior.variance(named).tolist() == [[pytest.approx(0.3)] * 2]


def test_an_initial_condition_has_no_time_for_an_autoregressive_prior():
    with pytest.raises(SettingsError, match="an initial condition has none"):
        initial_condition_prior(replace(MODEL, initial_condition_prior="autoregressive"))


def test_an_unknown_prior_is_refused_by_name():
    with pytest.raises(SettingsError, match="Did you mean 'laplace'"):
        input_prior(replace(MODEL, input_prior="laplce"), bin_width_s=0.01)


def test_a_prior_of_ones_own_enters_the_loss():
    tiny = Tiny(model={"input_prior": "flat_prior:Flat"})
    task = tiny.task()
    assert isinstance(task.priors.inputs, Flat)
    assert not any("input_prior" in spec.name for spec in task.layout.specs)
