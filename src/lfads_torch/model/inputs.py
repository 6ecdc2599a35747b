"""Known inputs: which parts of the model get external inputs, and how they are laid out.

External inputs go bin by bin; trial inputs are constant over a trial. Each goes to any of the
generator, the controller and the encoders, where it stands beside what the part sees anyway. A
constant input to the generator is a bias of its gates that differs between trials. Trial inputs may
also shift the generator's first state by a learned linear map (`initial_condition`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.sizes import ModelSizes

__all__ = ["InputSizes", "KnownInputs", "input_sizes", "joined_inputs", "known_inputs"]


@dataclass(frozen=True, kw_only=True)
class InputSizes:
    """How many known inputs each part gets."""

    encoders: int
    controller: int
    generator: int
    initial_condition: int


@dataclass(frozen=True, kw_only=True)
class KnownInputs:
    """What each part gets; None where it gets nothing."""

    encoders: Float[Tensor, "P B E X1"] | None = None
    controller: Float[Tensor, "P B T X2"] | None = None
    generator: Float[Tensor, "P B T X3"] | None = None
    initial_condition: Float[Tensor, "P B C"] | None = None

    def beside(self, x: Float[Tensor, "P B E I"]) -> Float[Tensor, "P B E I2"]:
        """The encoders' input: the read-in counts, then what is known."""
        return x if self.encoders is None else torch.cat([x, self.encoders], -1)

    def repeated(self, copies: int) -> KnownInputs:
        """Every trial several times over, side by side, for what comes after the encoders."""
        repeats = {
            name: value.repeat_interleave(copies, 1)
            for name in ("controller", "generator", "initial_condition")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, encoders=None, **repeats)


def input_sizes(settings: ModelSettings, sizes: ModelSizes) -> InputSizes:
    """As the settings send them. Without inferred inputs there is no controller to send them to."""
    external, of_trial = settings.external_destinations, settings.trial_destinations

    def size(part: str) -> int:
        if part == "controller" and not settings.n_inferred_inputs:
            return 0
        return sizes.n_external_inputs * (part in external) + sizes.n_trial_inputs * (
            part in of_trial
        )

    return InputSizes(
        encoders=size("encoders"),
        controller=size("controller"),
        generator=size("generator"),
        initial_condition=size("initial_condition"),
    )


def known_inputs(
    external: Float[Tensor, "P B L X"] | None,
    of_trial: Float[Tensor, "P B C"] | None,
    settings: ModelSettings,
    sizes: ModelSizes,
) -> KnownInputs:
    """External inputs of all bins and trial inputs, cut and joined for each part."""
    first, n_encoded = settings.first_generated_bin, sizes.n_encoded_bins
    controller = (
        joined_inputs("controller", external, of_trial, settings, sizes.n_bins)
        if settings.n_inferred_inputs
        else None
    )
    generator = joined_inputs("generator", external, of_trial, settings, sizes.n_bins)
    encoders = joined_inputs("encoders", external, of_trial, settings, sizes.n_bins)
    shifts = of_trial is not None and "initial_condition" in settings.trial_destinations
    return KnownInputs(
        encoders=None if encoders is None else encoders[:, :, :n_encoded],
        controller=None if controller is None else controller[:, :, first:],
        generator=None if generator is None else generator[:, :, first:],
        initial_condition=of_trial if shifts else None,
    )


def joined_inputs(
    part: str,
    external: Tensor | None,
    of_trial: Tensor | None,
    settings: ModelSettings,
    n_bins: int,
) -> Float[Tensor, "P B L X"] | None:
    """External inputs, then trial inputs held over all bins; those that go to the part."""
    found = []
    if external is not None and part in settings.external_destinations:
        found.append(external)
    if of_trial is not None and part in settings.trial_destinations:
        found.append(of_trial[:, :, None].expand(-1, -1, n_bins, -1))
    return torch.cat(found, -1) if found else None
