"""Plug-ins with numbers of every member's own: an augmentation, a prior and a generator cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from training_cases import Case

from lfads_torch.declare import OwnSettings, PluginSettings, member_setting, setting
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.cells.base import GeneratorCell
from lfads_torch.model.layout import WeightSpec
from lfads_torch.model.priors.base import Posterior, Prior, PriorSetup, over_trials
from lfads_torch.model.priors.normal import normal_divergence
from lfads_torch.search.select import Tournament
from lfads_torch.training.augment import Augmentation


@dataclass(frozen=True, kw_only=True)
class FadeSettings(PluginSettings):
    section: ClassVar[str] = "fade"

    strength: float = member_setting(
        0.25, "share of the counts that fades", at_least=0.0, at_most=1.0
    )
    n_bins: int = setting(3, "first bins that fade", unit="bins", at_least=1)


class Fade(Augmentation):
    """The encoder gets `(1 - strength)` of the first bins."""

    settings_type = FadeSettings

    def __init__(self, own: FadeSettings) -> None:
        self._own = own

    @classmethod
    def from_settings(cls, settings, first_bin):
        return cls(settings.own.of(FadeSettings))

    def __call__(self, batch, noise, rates, *, site):
        seen = torch.ones_like(batch.encoded)
        seen[:, :, : self._own.n_bins] -= rates.value("fade.strength")[:, None, None, None]
        return replace(batch, visible=seen if batch.visible is None else batch.visible * seen)


@dataclass(frozen=True, kw_only=True)
class NarrowSettings(PluginSettings):
    section: ClassVar[str] = "narrow"

    share: float = member_setting(0.05, "of the counts", at_least=1 / 90, at_most=0.1)
    rate: float = member_setting(0.8, "of the trials", above=0.7, below=0.9)


class NarrowFade(Fade):
    """Its limits are no numbers in float32."""

    settings_type = NarrowSettings

    @classmethod
    def from_settings(cls, settings, first_bin):
        return cls(FadeSettings())

    def __call__(self, batch, noise, rates, *, site):
        seen = 1.0 - rates.value("narrow.share")[:, None, None, None]
        return replace(batch, visible=seen.expand_as(batch.encoded))


@dataclass(frozen=True, kw_only=True)
class WideSettings(PluginSettings):
    section: ClassVar[str] = "wide"

    variance: float = member_setting(0.5, "of every dimension", above=0.0)


class WidePrior(Prior):
    """Normal around 0, with each member's own variance."""

    settings_type = WideSettings

    @classmethod
    def from_setup(cls, setup: PriorSetup) -> WidePrior:
        return cls(setup.name)

    def __init__(self, name: str) -> None:
        self._name = name

    def specs(self, n_dimensions: int) -> list[WeightSpec]:
        return [WeightSpec(f"{self._name}.mean", (n_dimensions,))]

    def terms(self, posterior: Posterior, named: Mapping[str, Tensor]) -> Tensor:
        variance = over_trials(self.variance(named), posterior.mean)
        mean = over_trials(named[f"{self._name}.mean"], posterior.mean)
        return normal_divergence(posterior.mean, posterior.variance, mean, variance)

    def variance(self, named: Mapping[str, Tensor]) -> Tensor:
        return named["wide.variance"][:, None].expand_as(named[f"{self._name}.mean"])


@dataclass(frozen=True, kw_only=True)
class LeakSettings(PluginSettings):
    section: ClassVar[str] = "leak"

    share: float = member_setting(0.5, "of the state that leaks", above=0.0, at_most=1.0)


class LeakyCell(GeneratorCell):
    """`h' = (1 - share) h + share tanh(W x + V h)`."""

    settings_type = LeakSettings

    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        return [
            WeightSpec("input", (n_inputs, size), fan_in=n_inputs),
            WeightSpec("recurrent", (size, size), fan_in=size),
        ]

    def recurrent_weights(self) -> tuple[str, ...]:
        return ("recurrent",)

    def step(
        self, inputs: Tensor, state: Tensor, weights: Mapping[str, Tensor], *, clip: float
    ) -> Tensor:
        share = weights["leak.share"][:, None, None]
        driven = torch.tanh(inputs @ weights["input"] + state @ weights["recurrent"])
        return ((1.0 - share) * state + share * driven).clamp(-clip, clip)


class FadingTournament(Tournament):
    """A rule of the search with a number of every member's own: refused."""

    settings_type = FadeSettings


class FadingPoisson(Poisson):
    """A family with one: refused."""

    settings_type = FadeSettings


@dataclass(frozen=True, kw_only=True)
class WholeSettings(PluginSettings):
    section: ClassVar[str] = "whole"

    n_bins: int = member_setting(3, "a whole number: refused")  # type: ignore[assignment]


class WholeFade(Fade):
    settings_type = WholeSettings


OWN = OwnSettings((FadeSettings(), WideSettings(), LeakSettings()))


def with_member_parts(case: Case) -> Case:
    """The case with all three of them."""
    return replace(
        case,
        model=replace(
            case.model,
            own=OWN,
            generator="member_parts:LeakyCell",
            initial_condition_prior="member_parts:WidePrior",
        ),
        loss=replace(case.loss, own=OWN),
        augmentation=replace(
            case.augmentation, own=OWN, order="member_parts:Fade, coordinated_dropout"
        ),
    )
