"""From the names in settings and recordings to observation families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError
from lfads_torch.plugins import load_plugin

if TYPE_CHECKING:
    import torch

    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings

__all__ = ["ENTRY_POINTS", "OBSERVATIONS", "check_support", "choose_observation", "observation_of"]

ENTRY_POINTS = "lfads_torch.observations"
OBSERVATIONS = {
    "poisson": "lfads_torch.loss.observations.poisson:Poisson",
    "poisson_softplus": "lfads_torch.loss.observations.poisson_softplus:PoissonSoftplus",
    "negative_binomial": "lfads_torch.loss.observations.negative_binomial:NegativeBinomial",
    "bernoulli": "lfads_torch.loss.observations.bernoulli:Bernoulli",
    "zero_inflated_poisson": (
        "lfads_torch.loss.observations.zero_inflated_poisson:ZeroInflatedPoisson"
    ),
    "gaussian": "lfads_torch.loss.observations.gaussian:Gaussian",
    "gaussian_fixed_variance": (
        "lfads_torch.loss.observations.gaussian_fixed_variance:GaussianFixedVariance"
    ),
    "gamma": "lfads_torch.loss.observations.gamma:Gamma",
    "zero_inflated_gamma": "lfads_torch.loss.observations.zero_inflated_gamma:ZeroInflatedGamma",
}

_BEFORE_A_FIT = (
    "for smoothed or continuous data set loss.observation=gaussian, and `lfads check` says which "
    "family suits each unit."
)


def choose_observation(
    name: str, settings: LossSettings | None = None, *, what: str = "loss.observation"
) -> Observation:
    """A family of ours by its name, that of an entry point, or anybody's by `package.module:Class`.

    `settings` has its constants (None: the defaults), `what` says where the name stands. Raises
    SettingsError where the name is unknown or is no observation family.
    """
    from lfads_torch.loss.observations.base import Observation
    from lfads_torch.loss.settings import LossSettings

    family = load_plugin(name, Observation, what=what, ours=OBSERVATIONS, entry_points=ENTRY_POINTS)
    return family.from_settings(LossSettings() if settings is None else settings)


def observation_of(families: Sequence[str] | None, settings: LossSettings) -> Observation:
    """The observation of one session: `families` names that of each unit.

    None: all are of the family that the settings name.
    """
    from lfads_torch.loss.observations.several import joined

    if families is None:
        return choose_observation(settings.observation, settings)
    chosen = {
        name: choose_observation(name, settings, what="observation of units")
        for name in dict.fromkeys(families)
    }
    return joined([chosen[name] for name in families])


def check_support(
    observation: Observation,
    counts: torch.Tensor,
    source: str,
    *,
    first_trial: int = 0,
    to_do: str | None = None,
) -> None:
    """Raise DataError where counts [B, L, N] cannot come from this family.

    `first_trial` is the position of the first of these trials in the recording; `to_do` ends the
    message (None: as before a fit).
    """
    found = observation.support_error(counts)
    if found is None:
        return
    wrong, needed = found
    trial, time, unit = wrong.nonzero()[0].tolist()
    name = observation.of_units(counts.shape[-1])[unit].name
    raise DataError(
        f"{source}: {int(wrong.sum())} values cannot come from a {name} observation, "
        f"the first is {counts[trial, time, unit].item():g} at trial {first_trial + trial}, bin "
        f"{time}, unit {unit} (positions from 0). It needs {needed}; {to_do or _BEFORE_A_FIT}"
    )
