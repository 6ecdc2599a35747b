"""Every tensor that training changes: name, shape, start, and place in one flat buffer per member.

A member's weights are one row of a [P, n] buffer; every named weight is a view of it. Clipping,
AdamW, gathering a population and checkpoints then act on whole buffers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.reference import ControllerWeights, DecoderWeights
from lfads_torch.kernels.gru.reference import GRUWeights
from lfads_torch.model.inputs import input_sizes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

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
class GivenStart:
    """Where some entries of a weight start, the same for every member; the others as usual."""

    values: Float[Tensor, "..."]
    is_given: Bool[Tensor, "..."]


@dataclass(frozen=True)
class WeightSpec:
    """One named weight. It starts as `constant`, or as N(0, 1/fan_in) where a fan-in is given."""

    name: str
    shape: tuple[int, ...]
    fan_in: int | None = None
    constant: Float[Tensor, "..."] | float = 0.0
    start: GivenStart | None = None  # wins over both

    @property
    def n(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The order of the weights in the flat buffer."""

    specs: tuple[WeightSpec, ...]
    offsets: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        offsets, total = {}, 0
        for spec in self.specs:
            offsets[spec.name] = total
            total += spec.n
        object.__setattr__(self, "offsets", offsets)

    @property
    def n(self) -> int:
        return sum(spec.n for spec in self.specs)

    def views(self, flat: Float[Tensor, "P n"]) -> dict[str, Tensor]:
        """Every named weight as a view [P, *shape] of the buffer."""
        return {
            spec.name: flat[:, start : start + spec.n].view(len(flat), *spec.shape)
            for spec in self.specs
            for start in (self.offsets[spec.name],)
        }


def initial_weights(
    layout: Layout, normal: Callable[[str, int], Float[Tensor, "P n"]], n_members: int
) -> Float[Tensor, "P n"]:
    """The flat buffer at the start; `normal(name, n)` gives each member's own standard normals.

    Numbers are keyed by the weight's name, so they do not depend on which other weights exist.
    """
    parts = []
    for spec in layout.specs:
        if spec.fan_in is not None:
            parts.append(normal(spec.name, spec.n) / math.sqrt(max(spec.fan_in, 1)))
        else:
            start = torch.as_tensor(spec.constant, dtype=torch.float32).expand(spec.shape)
            parts.append(start.reshape(1, -1).expand(n_members, -1))
        if spec.start is not None:
            given = spec.start.is_given.reshape(1, -1).to(parts[-1].device)
            values = spec.start.values.reshape(1, -1).to(parts[-1])
            parts[-1] = torch.where(given, values, parts[-1])
    device = next((part.device for part in parts if part.device.type != "cpu"), torch.device("cpu"))
    return torch.cat([part.to(device) for part in parts], 1)


@dataclass(frozen=True)
class LinearWeights:
    """`y = x W + b` for every member."""

    weight: Float[Tensor, "P I O"]
    bias: Float[Tensor, "P O"]

    def __call__(self, x: Float[Tensor, "P ... I"]) -> Float[Tensor, "P ... O"]:
        flat = x.reshape(len(x), -1, x.shape[-1])
        return torch.baddbmm(self.bias[:, None], flat, self.weight).view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class EncoderWeights:
    """The directions of one encoder: forward and, unless it is causal, backward."""

    cell: GRUWeights
    initial_state: Float[Tensor, "P D H"]


@dataclass(frozen=True)
class ModelWeights:
    """The named weights, arranged as the parts of the model use them."""

    ic_encoder: EncoderWeights
    controller_encoder: EncoderWeights | None
    initial_condition: LinearWeights  # both last states -> mean, log-variance
    generator_start: LinearWeights  # z -> g0
    context: Float[Tensor, "P C G"] | None  # trial inputs -> a shift of g0
    decoder: DecoderWeights
    readins: tuple[LinearWeights | None, ...]  # per session
    readouts: tuple[LinearWeights, ...]  # per session
    named: Mapping[str, Tensor]  # all of them by name: priors and penalties look theirs up

    @classmethod
    def arrange(cls, named: Mapping[str, Tensor], sessions: tuple[str, ...]) -> ModelWeights:
        def linear(name: str) -> LinearWeights:
            return LinearWeights(named[f"{name}.weight"], named[f"{name}.bias"])

        has_controller = "controller.recurrent" in named
        return cls(
            ic_encoder=_encoder(named, "ic_encoder"),
            controller_encoder=_encoder(named, "controller_encoder") if has_controller else None,
            initial_condition=linear("initial_condition"),
            generator_start=linear("generator_start"),
            context=named.get("context.weight"),
            decoder=DecoderWeights(
                generator=_cell(named, "generator"),
                factors=named["factors.weight"],
                controller=_controller(named) if has_controller else None,
            ),
            readins=tuple(
                linear(f"readin.{name}") if f"readin.{name}.weight" in named else None
                for name in sessions
            ),
            readouts=tuple(linear(f"readout.{name}") for name in sessions),
            named=named,
        )


def _cell(named: Mapping[str, Tensor], name: str) -> GRUWeights:
    return GRUWeights(named[f"{name}.input"], named[f"{name}.recurrent"], named[f"{name}.bias"])


def _encoder(named: Mapping[str, Tensor], name: str) -> EncoderWeights:
    return EncoderWeights(_cell(named, name), named[f"{name}.initial_state"])


def _controller(named: Mapping[str, Tensor]) -> ControllerWeights:
    return ControllerWeights(
        cell=_cell(named, "controller"),
        initial_state=named["controller.initial_state"],
        output_weight=named["controller.output_weight"],
        output_bias=named["controller.output_bias"],
    )


def _cell_specs(
    name: str, sizes: tuple[int, int], *, fan_in: tuple[int, int], directions: tuple[int, ...] = ()
) -> list[WeightSpec]:
    """Input, recurrent matrix and bias of one cell; the bias is 1 for z and r, 0 for n."""
    n_inputs, size = sizes
    bias = torch.cat([torch.ones(2 * size), torch.zeros(size)])
    return [
        WeightSpec(f"{name}.input", (*directions, n_inputs, 3 * size), fan_in=fan_in[0]),
        WeightSpec(f"{name}.recurrent", (*directions, size, 3 * size), fan_in=fan_in[1]),
        WeightSpec(f"{name}.bias", (*directions, 3 * size), constant=bias),
    ]


def _encoder_specs(
    name: str, n_inputs: int, size: int, *, n_directions: int = 2
) -> list[WeightSpec]:
    both = n_inputs + size  # encoders use input + hidden as fan-in of both matrices
    cell = _cell_specs(name, (n_inputs, size), fan_in=(both, both), directions=(n_directions,))
    return [*cell, WeightSpec(f"{name}.initial_state", (n_directions, size))]


def _linear_specs(
    name: str, n_inputs: int, n_outputs: int, bias: Tensor | float = 0.0
) -> list[WeightSpec]:
    return [
        WeightSpec(f"{name}.weight", (n_inputs, n_outputs), fan_in=n_inputs),
        WeightSpec(f"{name}.bias", (n_outputs,), constant=bias),
    ]


def model_specs(
    settings: ModelSettings, sizes: ModelSizes, readout_biases: Mapping[str, Tensor]
) -> list[WeightSpec]:
    """The weights of encoders, controller, generator, read-ins and read-outs (priors add theirs).

    `readout_biases[session]` is the start of the read-out's bias, [n_parameters * N].
    """
    known, factors = input_sizes(settings, sizes), settings.n_factors
    n_inputs = sizes.encoder_input_size + known.encoders
    encoder, generator = settings.ic_encoder_size, settings.generator_size
    inferred, initial = settings.n_inferred_inputs, settings.initial_condition_size
    driving = inferred + known.generator
    specs = [
        *_encoder_specs("ic_encoder", n_inputs, encoder),
        *_linear_specs("initial_condition", 2 * encoder, 2 * initial),
        *_linear_specs("generator_start", initial, generator),
        *_cell_specs("generator", (driving, generator), fan_in=(driving, generator)),
        WeightSpec("factors.weight", (factors, generator), fan_in=generator),
    ]
    if known.initial_condition:
        specs.append(WeightSpec("context.weight", (known.initial_condition, generator)))
    if inferred:
        read, n_directions = settings.controller_encoder_size, settings.n_controller_directions
        size, seen = settings.controller_size, n_directions * read + known.controller + factors
        specs += _encoder_specs("controller_encoder", n_inputs, read, n_directions=n_directions)
        specs += _cell_specs("controller", (seen, size), fan_in=(seen, size))
        specs += [
            WeightSpec("controller.initial_state", (size,)),
            WeightSpec("controller.output_weight", (size, 2 * inferred), fan_in=size),
            WeightSpec("controller.output_bias", (2 * inferred,)),
        ]
    for session in sizes.sessions:
        n_outputs = session.n_parameters * session.n_units
        bias = readout_biases[session.name]
        specs += _linear_specs(f"readout.{session.name}", factors, n_outputs, bias)
        if sizes.readin_size is not None:
            n_seen = len(session.encoded_units)
            specs += _linear_specs(f"readin.{session.name}", n_seen, sizes.readin_size)
    return specs
