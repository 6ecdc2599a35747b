"""Initial condition and encoder states to factors: the generator and what drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from lfads_torch.kernels.decoder.reference import DecoderInput

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.kernels.decoder.reference import DecoderOutput
    from lfads_torch.model.noise import Noise
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.weights import ModelWeights

__all__ = ["generate"]


def generate(
    initial_condition: Float[Tensor, "P B Z"],
    controller_states: Float[Tensor, "P T B E"] | None,
    external_inputs: Float[Tensor, "P B L X"] | None,
    weights: ModelWeights,
    noise: Noise,
    *,
    settings: ModelSettings,
    kernels: Kernels,
    n_generated: int,
) -> tuple[Float[Tensor, "P B G"], DecoderOutput]:
    """The generator's first state `g0 = Linear(z)`, and every signal of the generated bins.

    Dropout acts on the controller's input (encoder states and factors), on external inputs, and
    on generator states on their way to the factors, the first one included.
    """
    first = weights.generator_start(initial_condition)
    if external_inputs is not None:
        of_generated = external_inputs[:, :, settings.first_generated_bin :]
        external_inputs = _dropped(of_generated, noise, "dropout.external").transpose(1, 2)
    has_controller = controller_states is not None
    is_sampled = has_controller and settings.variational
    if controller_states is not None:
        mask = noise.dropout_mask(
            "dropout.controller_encoder", n_generated, controller_states.shape[-1]
        )
        if mask is not None:
            controller_states = controller_states * mask.transpose(1, 2)
    given = DecoderInput(
        generator_state=first,
        n_bins=n_generated,
        encoder_states=controller_states,
        external_inputs=external_inputs,
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
    return first, kernels.decoder_scan(given, weights.decoder, clip=settings.cell_clip)


def _dropped(value: Tensor, noise: Noise, site: str) -> Tensor:
    mask = noise.dropout_mask(site, *value.shape[2:])
    return value if mask is None else value * mask


def _in_time(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.transpose(1, 2).contiguous()
