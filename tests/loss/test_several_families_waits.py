"""Several families in one session wait for no GPU in a step: no list is moved to it each time."""

from __future__ import annotations

import torch
from device_waits import NothingWaits

from lfads_torch.loss.observations.gaussian import Gaussian
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.observations.several import joined, parameter_places
from lfads_torch.model.sessions import read_out
from lfads_torch.model.sizes import SessionSizes
from lfads_torch.model.weights import LinearWeights


def test_nothing_is_moved_to_the_device_in_a_step():
    families = joined([Poisson(), Gaussian(), Poisson()])
    places = parameter_places(families, 3)
    assert places is not None
    session = SessionSizes(
        name="a", n_units=3, encoded_units=(0, 2), n_parameters=2, parameter_places=places
    )
    factors, weights = torch.ones(1, 2, 1, 3), LinearWeights(torch.ones(1, 3, 4), torch.ones(1, 4))
    counts = torch.ones(1, 1, 2, 3)

    def nats() -> torch.Tensor:
        return families.negative_log_likelihood(read_out(factors, session, weights), counts)

    first = nats()  # what moves once moves now
    with NothingWaits():
        again = nats()
    assert torch.equal(again, first)
