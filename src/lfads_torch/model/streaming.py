"""A causal model bin by bin: the same numbers as the pass over whole trials.

Axes: `P` member (1 here as a rule), `R` trial x sample; otherwise as in the whole model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.errors import SettingsError
from lfads_torch.kernels.decoder.generator_step import generator_step
from lfads_torch.kernels.decoder.reference import infer_input, unit_rows
from lfads_torch.kernels.gru.reference import GRUWeights, gru_cell
from lfads_torch.model.encoder import encode
from lfads_torch.model.noise import Silence
from lfads_torch.model.parts import OwnEncoder

if TYPE_CHECKING:
    from jaxtyping import Float

    from lfads_torch.kernels.choose import Kernels
    from lfads_torch.kernels.decoder.generator_step import GeneratorStep
    from lfads_torch.model.settings import ModelSettings
    from lfads_torch.model.weights import ModelWeights

__all__ = ["BinInput", "StreamState", "StreamWeights", "begin_stream", "step_stream"]


@dataclass(frozen=True)
class StreamWeights:
    """The weights, and what of them is worked out once for all bins."""

    model: ModelWeights
    to_factors: Float[Tensor, "P G F"]

    @classmethod
    def of(cls, weights: ModelWeights) -> StreamWeights:
        return cls(weights, unit_rows(weights.decoder.factors).transpose(1, 2).contiguous())


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """Everything that the next bin follows from."""

    generator: Float[Tensor, "P R G"]
    factors: Float[Tensor, "P R F"]
    controller: Float[Tensor, "P R C"] | None
    encoder: Float[Tensor, "P B E"] | None  # of the controller, after the last bin that was read
    waiting: tuple[Float[Tensor, "P B E"], ...] = ()  # its states that the lag still holds back
    inferred_input: Float[Tensor, "P R U"] | None = None


@dataclass(frozen=True, kw_only=True)
class BinInput:
    """What one bin brings. `x` None: no counts, as in forward bins."""

    x: Float[Tensor, "P B I"] | None
    controller: Float[Tensor, "P B X2"] | None = None
    generator: Float[Tensor, "P B X3"] | None = None
    noise: Float[Tensor, "P R U"] | None = None


def begin_stream(
    x: Float[Tensor, "P B E I"],
    standard: Float[Tensor, "P R Z"] | None,
    weights: StreamWeights,
    settings: ModelSettings,
    *,
    kernels: Kernels,
    context: Float[Tensor, "P B C"] | None = None,
) -> StreamState:
    """The state before the first generated bin, from the first `ic_bins` bins.

    `standard` are the standard normals of the samples; None takes the posterior mean.
    """
    given = weights.model
    first = replace(given, controller_encoder=None)
    found = encode(x, first, Silence(), settings, kernels=kernels, n_generated=1)
    copies = 1 if standard is None else standard.shape[1] // x.shape[1]
    z = found.mean.repeat_interleave(copies, 1)
    if standard is not None:
        z = z + found.std.repeat_interleave(copies, 1) * standard
    generator = given.generator_start(z)
    n_trials, n_rows = x.shape[1], generator.shape[1]
    if context is not None and given.context is not None:
        generator = generator + context.repeat_interleave(copies, 1) @ given.context
    generator = _cell(given, None, n_rows, settings).start(generator)
    controller, encoder = given.decoder.controller, given.controller_encoder
    if isinstance(encoder, OwnEncoder):
        raise SettingsError(
            f"model.controller_encoder is {settings.controller_encoder}, which reads whole trials "
            "and cannot be stepped bin by bin; needed is gru."
        )
    return StreamState(
        generator=generator,
        factors=generator @ weights.to_factors,
        controller=None
        if controller is None
        else controller.initial_state[:, None].expand(-1, n_rows, -1),
        encoder=None
        if encoder is None
        else encoder.initial_state[:, 0][:, None].expand(-1, n_trials, -1),
    )


def step_stream(
    state: StreamState, given: BinInput, weights: StreamWeights, settings: ModelSettings
) -> StreamState:
    """The state after one more generated bin, with its factors and inferred input."""
    n_rows = state.generator.shape[1]
    state, seen = _read(state, given, weights.model, settings)
    inferred = None
    controller = weights.model.decoder.controller
    if controller is not None and state.controller is not None and seen is not None:
        copies = n_rows // seen.shape[1]
        beside = [seen] if given.controller is None else [seen, given.controller]
        known = torch.cat(beside, -1).repeat_interleave(copies, 1)
        gates = _gates(torch.cat([known, state.factors], -1), controller.cell)
        control = gru_cell(
            gates, state.controller, controller.cell.recurrent, clip=settings.cell_clip
        )
        _, _, inferred = infer_input(control, controller, given.noise)
        state = replace(state, controller=control)
    after = _cell(weights.model, given.generator, n_rows, settings).step(
        0, inferred, state.generator
    )
    return replace(
        state, generator=after, factors=after @ weights.to_factors, inferred_input=inferred
    )


def _cell(
    weights: ModelWeights,
    known: Float[Tensor, "P B X3"] | None,
    n_rows: int,
    settings: ModelSettings,
) -> GeneratorStep:
    """The generator with the known inputs of one bin."""
    driving = None
    if known is not None:
        driving = known.repeat_interleave(n_rows // known.shape[1], 1)[:, None]
    return generator_step(
        weights.decoder.generator, driving, n_bins=1, n_trials=n_rows, clip=settings.cell_clip
    )


def _read(
    state: StreamState, given: BinInput, weights: ModelWeights, settings: ModelSettings
) -> tuple[StreamState, Float[Tensor, "P B E"] | None]:
    """The encoder's state after this bin, and the one that the controller sees, `lag` bins old."""
    encoder = weights.controller_encoder
    if encoder is None or state.encoder is None or isinstance(encoder, OwnEncoder):
        return state, None
    nothing = torch.zeros_like(state.encoder)
    if given.x is None:  # forward bins see nothing of the data, whatever the lag
        return replace(state, waiting=()), nothing
    cell = GRUWeights(
        encoder.cell.input[:, 0], encoder.cell.recurrent[:, 0], encoder.cell.bias[:, 0]
    )
    read = gru_cell(_gates(given.x, cell), state.encoder, cell.recurrent, clip=settings.cell_clip)
    waiting = (*state.waiting, read)
    if len(waiting) <= settings.controller_lag_bins:
        return replace(state, encoder=read, waiting=waiting), nothing
    return replace(state, encoder=read, waiting=waiting[1:]), waiting[0]


def _gates(x: Float[Tensor, "P R I"], cell: GRUWeights) -> Float[Tensor, "P R H3"]:
    return torch.baddbmm(cell.bias[:, None], x, cell.input)
