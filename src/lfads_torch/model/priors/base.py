"""The contract of a prior: which weights it has, and the divergence of a posterior from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from lfads_torch.declare import PluginSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.model.layout import WeightSpec
    from lfads_torch.model.settings import ModelSettings

__all__ = ["Posterior", "Prior", "PriorSetup", "over_trials", "sum_over_bins"]


@dataclass(frozen=True)
class Posterior:
    """A Gaussian posterior and the sample the generator saw; time-major for inferred inputs."""

    mean: Float[Tensor, "P *T B D"]
    variance: Float[Tensor, "P *T B D"]
    sample: Float[Tensor, "P *T B D"]
    is_counted: Bool[Tensor, "P T B"] | None = None  # False: beyond the end of the trial


def sum_over_bins(values: Float[Tensor, "P T B D"], posterior: Posterior) -> Float[Tensor, "P B"]:
    """The sum over dimensions and over each trial's own bins: what lies beyond its end is nothing.

    Every prior of the inferred inputs sums with it.
    """
    by_bin = values.sum(-1)
    if posterior.is_counted is not None:
        by_bin = torch.where(posterior.is_counted, by_bin, 0.0)
    return by_bin.sum(1)


@dataclass(frozen=True)
class PriorSetup:
    """What a prior is made from: the settings, and which latent it is of."""

    settings: ModelSettings
    bin_width_s: float
    is_of_inputs: bool = True  # False: of the initial condition
    is_factorised: bool = False  # how the AR(1) prior takes its divergence

    @property
    def name(self) -> str:
        """What the names of its weights begin with."""
        return "input_prior" if self.is_of_inputs else "initial_condition_prior"

    @property
    def start_variance(self) -> float:
        if self.is_of_inputs:
            return self.settings.input_prior_variance
        return self.settings.initial_condition_prior_variance

    @property
    def learns_scale(self) -> bool:
        """Always of the inferred inputs; of the initial condition where it is asked for."""
        return self.is_of_inputs or self.settings.initial_condition_prior_scale == "learned"


class Prior(ABC):
    """A prior over D dimensions. It has no state: its weights live with the model's.

    That of an initial condition has a location of its own, learned from 0; inferred inputs are
    around 0. Beside the weights stand the members' own numbers [P] of its settings
    (`member_setting`), under their dotted names.
    """

    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @classmethod
    @abstractmethod
    def from_setup(cls, setup: PriorSetup) -> Prior:
        """The prior as the settings want it; SettingsError where it is of no use there."""

    @abstractmethod
    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        """The learned weights, with full names."""

    @abstractmethod
    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P *T B D"]:
        """KL(posterior || prior) in nats of each bin and dimension, given the sampled past.

        Without a closed form it is estimated along the sample that the generator saw:
        `-H(q) - log p(sample)`, whose expectation over samples is the divergence.
        """

    def divergence(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Float[Tensor, "P B"]:
        """KL(posterior || prior) in nats, summed over bins and dimensions, for each trial."""
        terms = self.terms(posterior, named)
        return sum_over_bins(terms, posterior) if terms.ndim == 4 else terms.sum(-1)

    @abstractmethod
    def variance(self, named: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        """The prior's stationary variance of each dimension."""


def over_trials(weight: Float[Tensor, "P D"], like: Tensor) -> Float[Tensor, "P ..."]:
    """A weight of each member and dimension, beside values [P, ..., D]."""
    return weight.view(len(weight), *(1,) * (like.ndim - 2), weight.shape[-1])
