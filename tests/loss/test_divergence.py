"""Divergences over trials and sessions."""

from __future__ import annotations

import pytest
import torch

from lfads_torch.loss.divergence import mean_divergence
from lfads_torch.model.priors.autoregressive import AutoregressivePrior
from lfads_torch.model.priors.base import Posterior
from lfads_torch.model.priors.normal import (
    NormalPrior,
)

NAMED = {"initial_condition_prior.mean": torch.zeros(2, 3, dtype=torch.float64)}
PRIOR = NormalPrior(0.1, "initial_condition_prior", has_location=True, learns_scale=False)


def posterior() -> Posterior:
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn(3, 2, 4, 3, generator=random, dtype=torch.float64)
    return Posterior(drawn[0], drawn[1].exp(), drawn[2])


@pytest.mark.parametrize(
    ("n_trials", "weights", "shares"),
    [
        ([4], "trials", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ([4], "equal", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ([1, 3], "trials", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        ([1, 3], "equal", [1 / 2, 1 / 6, 1 / 6, 1 / 6]),
    ],
)
def test_sessions_weigh_in_the_divergence_as_in_the_reconstruction(n_trials, weights, shares):
    found = mean_divergence(
        PRIOR, posterior(), named=NAMED, n_trials=n_trials, weights=weights, like=torch.ones(2)
    )
    per_trial = PRIOR.divergence(posterior(), NAMED)
    expected = (per_trial * torch.tensor(shares, dtype=torch.float64)).sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0.0)


def test_what_is_not_there_diverges_by_nothing():
    for prior, one in ((None, posterior()), (PRIOR, None)):
        found = mean_divergence(
            prior, one, named=NAMED, n_trials=[4], weights="trials", like=torch.ones(2)
        )
        assert found.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "prior",
    [
        NormalPrior(0.1, "input_prior", has_location=False, learns_scale=True),
        AutoregressivePrior(5.0, 0.1),
        AutoregressivePrior(5.0, 0.1, is_factorised=True),
    ],
    ids=["normal", "autoregressive", "factorised"],
)
def test_bins_beyond_the_end_of_a_trial_diverge_by_nothing(prior):
    random = torch.Generator().manual_seed(1)
    drawn = torch.randn(3, 2, 7, 3, 2, generator=random, dtype=torch.float64)  # P T B U
    named = {spec.name: torch.full((2, 2), spec.constant).double() for spec in prior.specs(2)}
    n_bins = torch.tensor([1, 4, 7])
    is_counted = (torch.arange(7)[:, None] < n_bins).expand(2, 7, 3)
    found = prior.divergence(
        Posterior(drawn[0], drawn[1].exp(), drawn[2], is_counted=is_counted), named
    )
    for trial, n in enumerate(n_bins.tolist()):
        mean, variance, sample = (each[:, :n, trial : trial + 1] for each in drawn)
        alone = prior.divergence(Posterior(mean, variance.exp(), sample), named)
        torch.testing.assert_close(found[:, trial], alone[:, 0], rtol=1e-12, atol=0.0)
