"""Initial condition and encoder states to factors: the generator and what drives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.reference import DecoderInput

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.kernels.decoder.reference import DecoderOutput
    from lfads_torch.model.inputs import KnownInputs
    from lfads_torch.model.noise import Noise
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.weights import ModelWeights

__all__ = ["GeneratorInput", "generate"]


@dataclass(frozen=True)
class GeneratorInput:
    """What a trial is generated from."""

    initial_condition: Float[Tensor, "P B Z"]
    controller_states: Float[Tensor, "P T B E"] | None  # of the encoder; None: no controller
    known: KnownInputs


def generate(
    given: GeneratorInput,
    weights: ModelWeights,
    noise: Noise,
    *,
    settings: ModelSettings,
    kernels: Kernels,
    n_generated: int,
) -> tuple[Float[Tensor, "P B G"], DecoderOutput]:
    """The generator's first state `g0 = Linear(z)`, and every signal of the generated bins.

    Trial inputs that go to the initial condition add a linear map of theirs to g0. Dropout acts
    on the controller's input (encoder states, known inputs and factors), on the generator's known
    inputs, and on generator states on their way to the factors, the first one included.
    """
    controller_states, known = given.controller_states, given.known
    first = weights.generator_start(given.initial_condition)
    if known.initial_condition is not None and weights.context is not None:
        first = first + known.initial_condition @ weights.context
    driving = known.generator
    if driving is not None:
        driving = _dropped(driving, noise, "dropout.external").transpose(1, 2)
    has_controller = controller_states is not None
    is_sampled = has_controller and settings.variational
    if controller_states is not None:
        mask = noise.dropout_mask(
            "dropout.controller_encoder", n_generated, controller_states.shape[-1]
        )
        if mask is not None:
            controller_states = controller_states * mask.transpose(1, 2)
        if known.controller is not None:
            beside = _dropped(known.controller, noise, "dropout.external_controller")
            controller_states = torch.cat([controller_states, beside.transpose(1, 2)], -1)
    driven = DecoderInput(
        generator_state=first,
        n_bins=n_generated,
        encoder_states=controller_states,
        external_inputs=driving,
        noise=_in_time(noise.normal("sample.inputs", n_generated, settings.n_inferred_inputs))
        if is_sampled
        else None,
        initial_generator_mask=noise.dropout_mask("dropout.generator_start", first.shape[-1]),
        generator_mask=_in_time(
            noise.dropout_mask("dropout.generator", n_generated, settings.generator_size)
        ),
        factor_mask=_in_time(noise.dropout_mask("dropout.factors", n_generated, settings.n_factors))
        if has_controller
        else None,
    )
    return first, kernels.decoder_scan(driven, weights.decoder, clip=settings.cell_clip)


def _dropped(value: Tensor, noise: Noise, site: str) -> Tensor:
    mask = noise.dropout_mask(site, *value.shape[2:])
    return value if mask is None else value * mask


def _in_time(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.transpose(1, 2).contiguous()
