"""The contract of a generator cell: its weights, and one step from bin to bin."""

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

__all__ = ["GeneratorCell"]


class GeneratorCell(ABC):
    """A cell of `model.generator_size` units. It has no state: its weights live with the model's.

    Weights have names of the cell's own ("left"); the model knows them as "generator.left". Every
    one has the member axis P first, and so has everything else: a cell computes all members at
    once, and no member may see another. Beside the weights stand the members' own numbers [P] of
    its settings (`member_setting`), under their dotted names.
    """

    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @classmethod
    def from_settings(cls, settings: ModelSettings) -> GeneratorCell:
        """As the settings want it; own settings are `settings.own.of(ItsSettings)`."""
        return cls()

    @abstractmethod
    def specs(self, n_inputs: int, size: int) -> list[WeightSpec]:
        """The learned weights, shapes without P. The inputs may be none."""

    @abstractmethod
    def recurrent_weights(self) -> tuple[str, ...]:
        """Names of the weights that `loss.l2_generator_scale` weighs; () for none."""

    def prepared(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What `start` and `step` get: the weights, or what is made of them once per pass."""
        return weights

    def start(
        self, state: Float[Tensor, "P B G"], weights: Mapping[str, Tensor]
    ) -> Float[Tensor, "P B G"]:
        """The state before the first bin, from `g0 = Linear(initial condition)`."""
        return state

    @abstractmethod
    def step(
        self,
        inputs: Float[Tensor, "P B I"],
        state: Float[Tensor, "P B G"],
        weights: Mapping[str, Tensor],
        *,
        clip: float,
    ) -> Float[Tensor, "P B G"]:
        """The next state; `inputs` are the inferred ones, then the known ones, of this bin.

        States must stay within +-clip (`model.cell_clip`).
        """
