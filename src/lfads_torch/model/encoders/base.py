"""The contract of an encoder: encoded bins to a summary of the trial and to states bin by bin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from lfads_torch.declare import PluginSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.model.layout import WeightSpec
    from lfads_torch.model.settings import ModelSettings

__all__ = ["Encoder", "EncoderStates"]


@dataclass(frozen=True)
class EncoderStates:
    """What an encoder of size H found.

    The initial condition is inferred from the summary; the controller at bin t sees `past` of bin
    t-lag and `future` of bin t+lag (with `model.causal_controller` only the past).
    """

    summary: Float[Tensor, "P B H2"]
    past: Float[Tensor, "P E B H"]  # entry t knows bins 0..t and no later ones
    future: Float[Tensor, "P E B H"]  # entry t knows bins t.. and no earlier ones


class Encoder(ABC):
    """An encoder, for the initial condition (`model.ic_encoder`) or for the controller
    (`model.controller_encoder`), where it has weights of its own.

    H is `model.ic_encoder_size` or `model.controller_encoder_size`. It has no state: its weights
    live with the model's, every one with the member axis P first, and no member may see another.
    Beside the weights stand the members' own numbers [P] of its settings (`member_setting`), under
    their dotted names.
    """

    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @classmethod
    def from_settings(cls, settings: ModelSettings, size: int) -> Encoder:
        """As the settings want it; own settings are `settings.own.of(ItsSettings)`.

        A size H that it cannot have is a SettingsError.
        """
        return cls()

    @abstractmethod
    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        """The learned weights, shapes without P, with names of the encoder's own."""

    @abstractmethod
    def recurrent_weights(self) -> tuple[str, ...]:
        """Names of the weights that the encoder's L2 scale weighs (`loss.l2_ic_encoder_scale`)."""

    @abstractmethod
    def encode(
        self,
        x: Float[Tensor, "P E B I"],
        weights: Mapping[str, Tensor],
        *,
        is_inside: Bool[Tensor, "P E B"] | None,
    ) -> EncoderStates:
        """Read the bins. `is_inside` is False beyond the end of a shorter trial (None: nowhere):
        nothing there may change the summary, or states before the trial's end.
        """
