"""The settings that each member has for itself, as tensors on the device.

A change takes effect at the next step; nothing is recompiled or rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.declare import OwnSettings
    from lfads_torch.loss.settings import LossSettings
    from lfads_torch.training.settings import AugmentationSettings, TrainingSettings

__all__ = ["Hyperparameters", "may_act"]


def may_act(rate: Float[Tensor, " P"]) -> bool:
    """Whether anything with this rate can happen to any member.

    On a GPU always True: looking would wait for the device, in every step, and a rate of 0 gives
    the same numbers the long way.
    """
    return rate.device.type == "cuda" or bool((rate > 0).any())


# Not in files of the first version; 0 is what that version did.
_ADDED = ("spike_jitter_rate", "temporal_shift_rate")


@dataclass(frozen=True)
class Hyperparameters:
    """One number per member, [P] each, named as in the settings tree.

    `own` are those that plug-ins declare by `member_setting`, under their dotted names.
    """

    learning_rate: Float[Tensor, " P"]
    weight_decay: Float[Tensor, " P"]
    max_gradient_norm: Float[Tensor, " P"]
    beta1: Float[Tensor, " P"]
    beta2: Float[Tensor, " P"]
    epsilon: Float[Tensor, " P"]
    dropout_rate: Float[Tensor, " P"]
    coordinated_dropout_rate: Float[Tensor, " P"]
    coordinated_dropout_pass_rate: Float[Tensor, " P"]
    kl_initial_condition_scale: Float[Tensor, " P"]
    kl_input_scale: Float[Tensor, " P"]
    l2_ic_encoder_scale: Float[Tensor, " P"]
    l2_controller_encoder_scale: Float[Tensor, " P"]
    l2_controller_scale: Float[Tensor, " P"]
    l2_generator_scale: Float[Tensor, " P"]
    spike_jitter_rate: Float[Tensor, " P"]
    temporal_shift_rate: Float[Tensor, " P"]
    own: Mapping[str, Float[Tensor, " P"]] = field(default_factory=dict)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Ours; those of plug-ins have a dot in their names."""
        return tuple(each.name for each in fields(cls) if each.name != "own")

    @classmethod
    def of(cls, values: Mapping[str, Tensor]) -> Hyperparameters:
        """From what `as_dict` gives."""
        own = {name: value for name, value in values.items() if "." in name}
        return cls(**{name: values[name] for name in cls.names()}, own=own)

    @classmethod
    def complete(cls, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of a file by name; what an older version did not have is off. Raises KeyError."""
        some = next(iter(stored.values()), None)
        absent = {} if some is None else {name: torch.zeros_like(some) for name in _ADDED}
        own = {name: value for name, value in stored.items() if "." in name}
        return {**{name: {**absent, **stored}[name] for name in cls.names()}, **own}

    @classmethod
    def repeated(
        cls,
        loss: LossSettings,
        augmentation: AugmentationSettings,
        training: TrainingSettings,
        *,
        n_members: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Hyperparameters:
        """The same settings for every member."""
        sources = (training, augmentation, loss)
        values = {
            name: next(getattr(source, name) for source in sources if hasattr(source, name))
            for name in cls.names()
        } | augmentation.own.per_member()
        return cls.of(
            {
                name: torch.full((n_members,), float(value), dtype=dtype, device=device)
                for name, value in values.items()
            }
        )

    def as_dict(self) -> dict[str, Float[Tensor, " P"]]:
        return {**{name: getattr(self, name) for name in self.names()}, **self.own}

    def value(self, name: str) -> Float[Tensor, " P"]:
        """One of them by its name; of a plug-in's by its dotted name. Raises SettingsError."""
        found = self.as_dict()
        if name not in found:
            raise SettingsError(
                f"{name} is no number of every member's own; those are {', '.join(found)}. A "
                "plug-in declares one by member_setting(...) in its settings."
            )
        return found[name]

    def filled(self, own: OwnSettings) -> Hyperparameters:
        """With the settings' numbers of plug-ins that a file of an earlier version has not."""
        absent = {
            name: torch.full_like(self.learning_rate, value)
            for name, value in own.per_member().items()
            if name not in self.own
        }
        return replace(self, own={**self.own, **absent}) if absent else self

    def take(self, parent: Tensor) -> Hyperparameters:
        return Hyperparameters.of({name: value[parent] for name, value in self.as_dict().items()})

    def put(self, rows: Tensor, part: Hyperparameters) -> None:
        """Overwrite these members' numbers, in place."""
        given = part.as_dict()
        for name, value in self.as_dict().items():
            value[rows] = given[name]

    def l2_scales(self) -> dict[str, Float[Tensor, " P"]]:
        """By the part of the model whose recurrent matrix they weigh."""
        return {
            "ic_encoder": self.l2_ic_encoder_scale,
            "controller_encoder": self.l2_controller_encoder_scale,
            "controller": self.l2_controller_scale,
            "generator": self.l2_generator_scale,
        }
