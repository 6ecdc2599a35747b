"""Weights of the two divergences, in each of their units; time constants in bins.

The loss weighs a divergence by k beside a reconstruction that is the mean over bins and units, so
in units of the evidence bound (a sum over present entries) its weight is `beta = k * T * N`, with T
generated bins and N units, entries that are missing left out. The reconstruction's own sum counts
T * N entries, present or not (`loss/reconstruction.py`), so beside it beta is k times the present
share. Bins beyond the end of a trial count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from lfads_torch.config.sizes import DataSizes
from lfads_torch.config.tree import Settings
from lfads_torch.errors import SettingsError
from lfads_torch.model.settings import ModelSettings

__all__ = [
    "DivergenceScales", "beta_of_one", "betas", "entries_per_trial", "published_scales",
    "time_constant_bins",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DivergenceScales:
    """One weight for each divergence."""

    initial_condition: float
    inputs: float

    def times(self, factor: float) -> DivergenceScales:
        return DivergenceScales(
            initial_condition=self.initial_condition * factor, inputs=self.inputs * factor
        )


def entries_per_trial(settings: Settings, sizes: DataSizes) -> float:
    """T * N: entries of one trial that the reconstruction counts, the missing ones left out."""
    n_generated_bins = sizes.n_bins - settings.model.first_generated_bin
    return n_generated_bins * sizes.n_units * sizes.present_share


def beta_of_one(settings: Settings, sizes: DataSizes) -> float:
    """The beta of a weight of 1 in the loss."""
    if settings.loss.reconstruction == "sum":
        return sizes.present_share / sizes.trial_share
    return entries_per_trial(settings, sizes)


def published_scales(settings: Settings, sizes: DataSizes) -> DivergenceScales:
    """`k_ic` and `k_u` as they enter the loss, whatever their unit in the settings."""
    loss = settings.loss
    given = DivergenceScales(
        initial_condition=loss.kl_initial_condition_scale, inputs=loss.kl_input_scale
    )
    is_converted = loss.kl_scale_unit == "beta"
    return given.times(1.0 / beta_of_one(settings, sizes)) if is_converted else given


def betas(settings: Settings, sizes: DataSizes) -> DivergenceScales:
    """The weights of both divergences in units of the evidence bound.

    0 where the model is not variational: there is no divergence.
    """
    if not settings.model.variational:
        return DivergenceScales(initial_condition=0.0, inputs=0.0)
    return published_scales(settings, sizes).times(beta_of_one(settings, sizes))


def time_constant_bins(model: ModelSettings, bin_width_s: float) -> float:
    """Where the time constant of the AR(1) prior starts, in bins."""
    if model.time_constant_unit == "bins":
        return model.input_prior_time_constant
    if not bin_width_s > 0:
        raise SettingsError(
            f"model.time_constant_unit is ms, but the bin width is {bin_width_s:g} s; needed is a "
            "width above 0."
        )
    return model.input_prior_time_constant / (bin_width_s * 1e3)
