"""The contract of a read-out: factors to the parameters of each unit's observation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from lfads_torch.declare import PluginSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.layout import WeightSpec
    from lfads_torch.model.settings import ModelSettings

__all__ = ["ReadOut"]


class ReadOut(ABC):
    """The read-out of every session, with weights of each session's own.

    It has no state: its weights live with the model's ("readout.SESSION.NAME"), every one with the
    member axis P first, and no member may see another. Beside the weights stand the members' own
    numbers [P] of its settings (`member_setting`), under their dotted names.
    """

    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @classmethod
    def from_settings(cls, settings: ModelSettings) -> ReadOut:
        """As the settings want it; own settings are `settings.own.of(ItsSettings)`."""
        return cls()

    @abstractmethod
    def specs(self, n_factors: int, bias: Float[Tensor, " KN"]) -> list[WeightSpec]:
        """The learned weights, shapes without P, with names of the read-out's own.

        `bias` are the parameters that the training data's own moments give, all units of the first
        parameter first: where a read-out of factors near zero should begin.
        """

    @abstractmethod
    def parameters(
        self, factors: Float[Tensor, "P *T F"], weights: Mapping[str, Tensor]
    ) -> Float[Tensor, "P *T KN"]:
        """The parameters of all units, in the order of `bias`; axes between are free."""
