"""From the name in the settings to an observation family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.errors import DataError
from lfads_torch.plugins import load_plugin

if TYPE_CHECKING:
    import torch

    from lfads_torch.loss.observations.base import Observation

__all__ = ["OBSERVATIONS", "check_support", "choose_observation"]

OBSERVATIONS = {
    "poisson": "lfads_torch.loss.observations.poisson:Poisson",
    "gaussian": "lfads_torch.loss.observations.gaussian:Gaussian",
}


def choose_observation(name: str) -> Observation:
    """A family of ours by its name, that of an entry point, or anybody's by `package.module:Class`.

    Raises SettingsError where the name is unknown or is no observation family.
    """
    from lfads_torch.loss.observations.base import Observation

    family = load_plugin(
        name,
        Observation,
        what="loss.observation",
        ours=OBSERVATIONS,
        entry_points="lfads_torch.observations",
    )
    return family()


def check_support(observation: Observation, counts: torch.Tensor, source: str) -> None:
    """Raise DataError where counts [B, L, N] cannot come from this family."""
    found = observation.support_error(counts)
    if found is None:
        return
    wrong, needed = found
    trial, time, unit = wrong.nonzero()[0].tolist()
    raise DataError(
        f"{source}: {int(wrong.sum())} values cannot come from a {observation.name} observation, "
        f"the first is {counts[trial, time, unit].item():g} at trial {trial}, bin {time}, unit "
        f"{unit} (positions from 0). It needs {needed}; for smoothed or continuous data set "
        "loss.observation=gaussian."
    )
