"""The parts of the model that the settings choose: generator, encoders, read-out.

Where nothing else is chosen they are GRUs and a linear map, which the kernels run; a part of
somebody's own is bound to its weights here and runs as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor

from lfads_torch.kernels.decoder.generator_step import OwnCell
from lfads_torch.model.part_places import CELLS, ENCODERS, ENTRY_POINTS, READ_OUTS
from lfads_torch.plugin_returns import is_plugin, returned_kind, returned_tensor
from lfads_torch.plugins import load_plugin

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from lfads_torch.declare import PluginSettings
    from lfads_torch.model.cells.base import GeneratorCell
    from lfads_torch.model.encoders.base import Encoder, EncoderStates
    from lfads_torch.model.layout import WeightSpec
    from lfads_torch.model.read_outs.base import ReadOut
    from lfads_torch.model.settings import ModelSettings

__all__ = [
    "ModelParts",
    "OwnEncoder",
    "OwnReadOut",
    "choose_parts",
    "named_specs",
    "own_cell",
    "own_weights",
]

Base = TypeVar("Base")


@dataclass(frozen=True)
class ModelParts:
    """Parts of somebody's own; None: ours."""

    generator: GeneratorCell | None = None
    ic_encoder: Encoder | None = None
    controller_encoder: Encoder | None = None
    read_out: ReadOut | None = None

    def recurrent_weights(self, part: str) -> tuple[str, ...]:
        """Full names of the weights whose L2 is that of a part ("generator", "controller", ...)."""
        own = None if part == "controller" else getattr(self, part)
        names = ("recurrent",) if own is None else own.recurrent_weights()
        return tuple(f"{part}.{name}" for name in names)


def choose_parts(settings: ModelSettings) -> ModelParts:
    """The parts that the settings name. Raises SettingsError where a name is unknown."""
    from lfads_torch.model.cells.base import GeneratorCell
    from lfads_torch.model.encoders.base import Encoder
    from lfads_torch.model.read_outs.base import ReadOut

    cell = _own("model.generator", settings.generator, GeneratorCell, CELLS)
    ic_encoder = _own("model.ic_encoder", settings.ic_encoder, Encoder, ENCODERS)
    controller_encoder = _own(
        "model.controller_encoder", settings.controller_encoder, Encoder, ENCODERS
    )
    read_out = _own("model.read_out", settings.read_out, ReadOut, READ_OUTS)
    read_size, seen_size = settings.ic_encoder_size, settings.controller_encoder_size
    return ModelParts(
        generator=None if cell is None else cell.from_settings(settings),
        ic_encoder=None if ic_encoder is None else ic_encoder.from_settings(settings, read_size),
        controller_encoder=None
        if controller_encoder is None
        else controller_encoder.from_settings(settings, seen_size),
        read_out=None if read_out is None else read_out.from_settings(settings),
    )


def _own(what: str, name: str, base: type[Base], ours: Mapping[str, str]) -> type[Base] | None:
    """The class of a part that is not ours."""
    if name in ours:
        return None
    return load_plugin(name, base, what=what, ours=ours, entry_points=ENTRY_POINTS[what])


def named_specs(part: str, specs: list[WeightSpec]) -> list[WeightSpec]:
    """A part's weights under their full names."""
    return [replace(spec, name=f"{part}.{spec.name}") for spec in specs]


def own_weights(
    part: str, named: Mapping[str, Tensor], settings_type: type[PluginSettings] | None
) -> dict[str, Tensor]:
    """A part's weights under its own names; the members' own numbers [P] under dotted ones."""
    start = f"{part}."
    weights = {name[len(start) :]: value for name, value in named.items() if name.startswith(start)}
    if settings_type is None:
        return weights
    section = f"{settings_type.section}."
    return weights | {name: named[name] for name in named if name.startswith(section)}


@dataclass(frozen=True)
class OwnEncoder:
    """An encoder of somebody's own with its weights."""

    encoder: Encoder
    weights: Mapping[str, Tensor]

    def states(
        self, x: Float[Tensor, "P E B I"], is_inside: Bool[Tensor, "P E B"] | None
    ) -> EncoderStates:
        found = self.encoder.encode(x, self.weights, is_inside=is_inside)
        if is_plugin(self.encoder):
            _need_states(self.encoder, found, x)
        return found


@dataclass(frozen=True)
class OwnReadOut:
    """A read-out of somebody's own with its weights of one session."""

    read_out: ReadOut
    weights: Mapping[str, Tensor]

    def __call__(self, factors: Float[Tensor, "P ... F"]) -> Float[Tensor, "P ... KN"]:
        found = self.read_out.parameters(factors, self.weights)
        shape = (*factors.shape[:-1], None)
        return returned_tensor(self.read_out, "parameters", found, shape, axes="P ... KN")


def own_cell(cell: GeneratorCell, named: Mapping[str, Tensor]) -> OwnCell:
    """The generator cell, ready for the reference scan."""
    weights = cell.prepared(own_weights("generator", named, cell.settings_type))
    return OwnCell(
        start=lambda state: _state(cell, "start", cell.start(state, weights), state),
        step=lambda inputs, state, clip: _state(
            cell, "step", cell.step(inputs, state, weights, clip=clip), state
        ),
    )


def _state(cell: GeneratorCell, method: str, found: Tensor, before: Tensor) -> Tensor:
    return returned_tensor(cell, method, found, before.shape, axes="P B G")


def _need_states(encoder: Encoder, found: object, x: Tensor) -> None:
    from lfads_torch.model.encoders.base import EncoderStates

    states = returned_kind(encoder, "encode", found, EncoderStates)
    past = returned_tensor(
        encoder, "encode (past)", states.past, (*x.shape[:3], None), axes="P E B H"
    )
    returned_tensor(encoder, "encode (future)", states.future, past.shape, axes="P E B H")
    summary = (x.shape[0], x.shape[2], 2 * past.shape[3])
    returned_tensor(encoder, "encode (summary)", states.summary, summary, axes="P B 2H")
