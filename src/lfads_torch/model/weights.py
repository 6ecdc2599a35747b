"""The weights of the whole model: which there are, and how its parts use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from lfads_torch.kernels.decoder.reference import (
    ControllerWeights,
    DecoderWeights,
    OwnDecoderWeights,
)
from lfads_torch.kernels.gru.reference import GRUWeights
from lfads_torch.model.gates import gate_biases
from lfads_torch.model.inputs import input_sizes
from lfads_torch.model.layout import (
    GivenStart,
    Layout,
    LinearWeights,
    WeightSpec,
    initial_weights,
)
from lfads_torch.model.parts import (
    ModelParts,
    OwnEncoder,
    OwnReadOut,
    named_specs,
    own_cell,
    own_weights,
)

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.model.encoders.base import Encoder
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.sizes import ModelSizes

__all__ = [
    "EncoderWeights",
    "GivenStart",
    "Layout",
    "LinearWeights",
    "ModelWeights",
    "WeightSpec",
    "initial_weights",
]


@dataclass(frozen=True)
class EncoderWeights:
    """The directions of one encoder: forward and, unless it is causal, backward."""

    cell: GRUWeights
    initial_state: Float[Tensor, "P D H"]


@dataclass(frozen=True)
class ModelWeights:
    """The named weights, arranged as the parts of the model use them."""

    ic_encoder: EncoderWeights | OwnEncoder
    controller_encoder: EncoderWeights | OwnEncoder | None
    initial_condition: LinearWeights  # both last states -> mean, log-variance
    generator_start: LinearWeights  # z -> g0
    context: Float[Tensor, "P C G"] | None  # trial inputs -> a shift of g0
    decoder: DecoderWeights | OwnDecoderWeights
    readins: tuple[LinearWeights | None, ...]  # per session
    readouts: tuple[LinearWeights | OwnReadOut, ...]  # per session
    named: Mapping[str, Tensor]  # all of them by name: priors and penalties look theirs up

    @classmethod
    def arrange(
        cls,
        named: Mapping[str, Tensor],
        sessions: tuple[str, ...],
        parts: ModelParts = ModelParts(),  # noqa: B008 - frozen
    ) -> ModelWeights:
        def linear(name: str) -> LinearWeights:
            return LinearWeights(named[f"{name}.weight"], named[f"{name}.bias"])

        has_controller = "controller.recurrent" in named
        return cls(
            ic_encoder=_encoder(named, "ic_encoder", parts.ic_encoder),
            controller_encoder=_encoder(named, "controller_encoder", parts.controller_encoder)
            if has_controller
            else None,
            initial_condition=linear("initial_condition"),
            generator_start=linear("generator_start"),
            context=named.get("context.weight"),
            decoder=_decoder(named, parts),
            readins=tuple(
                linear(f"readin.{name}") if f"readin.{name}.weight" in named else None
                for name in sessions
            ),
            readouts=tuple(
                linear(f"readout.{name}")
                if parts.read_out is None
                else OwnReadOut(
                    parts.read_out,
                    own_weights(f"readout.{name}", named, parts.read_out.settings_type),
                )
                for name in sessions
            ),
            named=named,
        )


def _cell(named: Mapping[str, Tensor], name: str) -> GRUWeights:
    return GRUWeights(named[f"{name}.input"], named[f"{name}.recurrent"], named[f"{name}.bias"])


def _encoder(
    named: Mapping[str, Tensor], name: str, own: Encoder | None
) -> EncoderWeights | OwnEncoder:
    if own is not None:
        return OwnEncoder(own, own_weights(name, named, own.settings_type))
    return EncoderWeights(_cell(named, name), named[f"{name}.initial_state"])


def _decoder(named: Mapping[str, Tensor], parts: ModelParts) -> DecoderWeights | OwnDecoderWeights:
    controller = _controller(named) if "controller.recurrent" in named else None
    factors = named["factors.weight"]
    if parts.generator is not None:
        return OwnDecoderWeights(own_cell(parts.generator, named), factors, controller)
    return DecoderWeights(_cell(named, "generator"), factors, controller)


def _controller(named: Mapping[str, Tensor]) -> ControllerWeights:
    return ControllerWeights(
        cell=_cell(named, "controller"),
        initial_state=named["controller.initial_state"],
        output_weight=named["controller.output_weight"],
        output_bias=named["controller.output_bias"],
    )


def _cell_specs(
    name: str,
    sizes: tuple[int, int],
    *,
    fan_in: tuple[int, int],
    update_bias: float,
    directions: tuple[int, ...] = (),
) -> list[WeightSpec]:
    """Input, recurrent matrix and bias of one cell: `update_bias` for z, 1 for r, 0 for n."""
    n_inputs, size = sizes
    bias = gate_biases(size, update_bias)
    return [
        WeightSpec(f"{name}.input", (*directions, n_inputs, 3 * size), fan_in=fan_in[0]),
        WeightSpec(f"{name}.recurrent", (*directions, size, 3 * size), fan_in=fan_in[1]),
        WeightSpec(f"{name}.bias", (*directions, 3 * size), constant=bias),
    ]


def _generator_specs(n_inputs: int, settings: ModelSettings, parts: ModelParts) -> list[WeightSpec]:
    size = settings.generator_size
    if parts.generator is not None:
        return named_specs("generator", parts.generator.specs(n_inputs, size))
    return _cell_specs(
        "generator",
        (n_inputs, size),
        fan_in=(n_inputs, size),
        update_bias=settings.update_gate_bias,
    )


def _encoder_specs(
    name: str,
    sizes: tuple[int, int],
    own: Encoder | None,
    *,
    update_bias: float,
    n_directions: int = 2,
) -> list[WeightSpec]:
    n_inputs, size = sizes
    if own is not None:
        return named_specs(name, own.specs(n_inputs, size))
    both = n_inputs + size  # encoders use input + hidden as fan-in of both matrices
    cell = _cell_specs(
        name, sizes, fan_in=(both, both), update_bias=update_bias, directions=(n_directions,)
    )
    return [*cell, WeightSpec(f"{name}.initial_state", (n_directions, size))]


def _linear_specs(
    name: str, n_inputs: int, n_outputs: int, bias: Tensor | float = 0.0
) -> list[WeightSpec]:
    return [
        WeightSpec(f"{name}.weight", (n_inputs, n_outputs), fan_in=n_inputs),
        WeightSpec(f"{name}.bias", (n_outputs,), constant=bias),
    ]


def model_specs(
    settings: ModelSettings,
    sizes: ModelSizes,
    readout_biases: Mapping[str, Tensor],
    parts: ModelParts = ModelParts(),  # noqa: B008 - frozen
) -> list[WeightSpec]:
    """The weights of encoders, controller, generator, read-ins and read-outs (priors add theirs).

    `readout_biases[session]` is the start of the read-out's bias, [n_outputs].
    """
    known, factors = input_sizes(settings, sizes), settings.n_factors
    n_inputs = sizes.encoder_input_size + known.encoders
    encoder, generator = settings.ic_encoder_size, settings.generator_size
    inferred, initial = settings.n_inferred_inputs, settings.initial_condition_size
    driving, update_bias = inferred + known.generator, settings.update_gate_bias
    specs = [
        *_encoder_specs(
            "ic_encoder", (n_inputs, encoder), parts.ic_encoder, update_bias=update_bias
        ),
        *_linear_specs("initial_condition", 2 * encoder, 2 * initial),
        *_linear_specs("generator_start", initial, generator),
        *_generator_specs(driving, settings, parts),
        WeightSpec("factors.weight", (factors, generator), fan_in=generator),
    ]
    if known.initial_condition:
        specs.append(WeightSpec("context.weight", (known.initial_condition, generator)))
    if inferred:
        read, n_directions = settings.controller_encoder_size, settings.n_controller_directions
        size, seen = settings.controller_size, n_directions * read + known.controller + factors
        specs += _encoder_specs(
            "controller_encoder",
            (n_inputs, read),
            parts.controller_encoder,
            update_bias=update_bias,
            n_directions=n_directions,
        )
        specs += _cell_specs(
            "controller", (seen, size), fan_in=(seen, size), update_bias=update_bias
        )
        specs += [
            WeightSpec("controller.initial_state", (size,)),
            WeightSpec("controller.output_weight", (size, 2 * inferred), fan_in=size),
            WeightSpec("controller.output_bias", (2 * inferred,)),
        ]
    for session in sizes.sessions:
        name, bias = f"readout.{session.name}", readout_biases[session.name]
        if parts.read_out is None:
            specs += _linear_specs(name, factors, session.n_outputs, bias)
        else:
            specs += named_specs(name, parts.read_out.specs(factors, bias))
        if sizes.readin_size is not None:
            n_seen = len(session.encoded_units)
            specs += _linear_specs(f"readin.{session.name}", n_seen, sizes.readin_size)
    return specs
