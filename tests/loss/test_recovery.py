"""Read-outs that made the data are found again from them, for two members at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family_cases import FAMILIES, moments_of

from lfads_torch.loss.observations.choose import choose_observation, observation_of
from lfads_torch.loss.observations.several import parameter_places
from lfads_torch.loss.reconstruction import Target, session_reconstruction
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.sessions import read_out
from lfads_torch.model.sizes import SessionSizes
from lfads_torch.model.weights import LinearWeights

P, B, T, F = 2, 40, 50, 2


def recovered(names: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True and fitted weights with biases [P, F + 1, outputs], and the fitted ones' error.

    The data of both members are drawn from weights of their own; the error is the width of the
    likelihood at the truth.
    """
    family, n_units = observation_of(names, LossSettings()), len(names)
    session = SessionSizes(
        name="s", n_units=n_units, encoded_units=tuple(range(n_units)),
        n_parameters=family.n_parameters, parameter_places=parameter_places(family, n_units),
    )  # fmt: skip
    random = torch.Generator().manual_seed(len(names))
    factors = torch.randn(P, T, B, F, generator=random, dtype=torch.float64)
    truth = 0.3 * torch.randn(P, F + 1, session.n_outputs, generator=random, dtype=torch.float64)

    def parameters(weights: torch.Tensor) -> torch.Tensor:
        return read_out(factors, session, LinearWeights(weights[:, :-1], weights[:, -1]))

    counts = family.sample(parameters(truth), np.random.default_rng(3))
    target = Target(counts, family.constant(counts).sum((2, 3)))

    def loss(weights: torch.Tensor) -> torch.Tensor:
        return session_reconstruction(family, parameters(weights), target, "mean").sum()

    start = torch.zeros_like(truth)
    for p in range(P):
        start[p, -1] = session.existing(family.initial_bias(moments_of(counts[p])).flatten())
    start.requires_grad_()
    search = torch.optim.LBFGS([start], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = loss(start)
        value.backward()
        return value

    search.step(closure)
    n_entries = B * T * n_units
    flat = torch.autograd.functional.hessian(loss, truth).view(truth.numel(), -1) * n_entries
    error = torch.linalg.inv(flat).diagonal().clamp_min(0.0).sqrt().view(truth.shape)
    return truth, start.detach(), error


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_are_recovered_from_simulated_data(name):
    truth, found, error = recovered((name,) * 2)
    assert ((found - truth).abs() / error).max() < 4.5
    # An error so wide would show nothing.
    first = choose_observation(name).n_parameters * 2
    assert error[..., : min(first, 2)].max() < 0.2


def test_units_of_several_families_are_recovered_together():
    truth, found, error = recovered(("poisson", "gamma", "zero_inflated_gamma", "bernoulli"))
    assert truth.shape == (P, F + 1, 1 + 2 + 3 + 1)
    assert ((found - truth).abs() / error).max() < 4.5
