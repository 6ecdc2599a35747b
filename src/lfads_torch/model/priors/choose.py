"""The priors that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfads_torch.model.priors.autoregressive import AutoregressivePrior
from lfads_torch.model.priors.normal import (
    IndependentNormalInputPrior,
    NormalInitialConditionPrior,
)

if TYPE_CHECKING:
    from lfads_torch.model.priors.base import Prior
    from lfads_torch.model.settings import ModelSettings

__all__ = ["initial_condition_prior", "input_prior"]


def initial_condition_prior(settings: ModelSettings) -> Prior:
    """A learned mean with the variance of the settings."""
    return NormalInitialConditionPrior(settings.initial_condition_prior_variance)


def input_prior(
    settings: ModelSettings, *, bin_width_s: float, is_factorised: bool = False
) -> Prior | None:
    """None without inferred inputs. A time constant in ms is converted with the bin width."""
    if settings.n_inferred_inputs == 0:
        return None
    if settings.input_prior == "normal":
        return IndependentNormalInputPrior(settings.input_prior_variance)
    time_constant = settings.input_prior_time_constant
    if settings.time_constant_unit == "ms":
        time_constant = time_constant / (1000.0 * bin_width_s)
    return AutoregressivePrior(time_constant, settings.input_prior_variance, is_factorised)
