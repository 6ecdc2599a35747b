"""The priors that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.plugins import load_plugin

if TYPE_CHECKING:
    from lfads_torch.model.priors.base import Prior, PriorSetup
    from lfads_torch.model.settings import ModelSettings

__all__ = ["ENTRY_POINTS", "PRIORS", "initial_condition_prior", "input_prior"]

ENTRY_POINTS = "lfads_torch.priors"
PRIORS = {
    "autoregressive": "lfads_torch.model.priors.autoregressive:AutoregressivePrior",
    "normal": "lfads_torch.model.priors.normal:NormalPrior",
    "student_t": "lfads_torch.model.priors.student_t:StudentTPrior",
    "laplace": "lfads_torch.model.priors.laplace:LaplacePrior",
}


def initial_condition_prior(settings: ModelSettings) -> Prior | None:
    """None where the model is not variational. Its location is learned from 0."""
    from lfads_torch.model.priors.base import PriorSetup

    if not settings.variational:
        return None
    setup = PriorSetup(settings, bin_width_s=0.0, is_of_inputs=False)
    return _chosen(settings.initial_condition_prior, setup)


def input_prior(
    settings: ModelSettings, *, bin_width_s: float, is_factorised: bool = False
) -> Prior | None:
    """None without inferred inputs, and where the model is not variational."""
    from lfads_torch.model.priors.base import PriorSetup

    if settings.n_inferred_inputs == 0 or not settings.variational:
        return None
    setup = PriorSetup(settings, bin_width_s=bin_width_s, is_factorised=is_factorised)
    return _chosen(settings.input_prior, setup)


def _chosen(name: str, setup: PriorSetup) -> Prior:
    from lfads_torch.model.priors.base import Prior

    prior = load_plugin(
        name, Prior, what=f"model.{setup.name}", ours=PRIORS, entry_points=ENTRY_POINTS
    )
    return prior.from_setup(setup)
