"""What differs between sessions: units into the encoder, and factors to parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.parts import OwnReadOut
from lfads_torch.model.weights import LinearWeights
from lfads_torch.plugin_returns import returned_tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.model.sizes import SessionSizes

__all__ = ["ReadOut", "is_encoded_unit", "places_on", "read_in", "read_out"]


def read_in(
    counts: Float[Tensor, "P B E N"], session: SessionSizes, weights: LinearWeights | None
) -> Float[Tensor, "P B E I"]:
    """The encoder's input of one session, from counts in the user's unit order.

    Units are picked by `is_encoded` here and nowhere else. Without a read-in the encoded units
    are the input themselves.
    """
    units = session.encoded_units
    if units == tuple(range(len(units))):  # often the first ones: nothing to copy
        counts = counts[..., : len(units)]
    else:
        counts = counts.index_select(-1, places_on(units, counts.device))
    return counts if weights is None else weights(counts)


def is_encoded_unit(session: SessionSizes, device: torch.device) -> Bool[Tensor, " N"]:
    """Which of a session's units the encoder sees."""
    is_encoded = torch.zeros(session.n_units, dtype=torch.bool, device=device)
    return is_encoded.index_fill_(0, places_on(session.encoded_units, device), True)


# Moving a list to a GPU waits for it: that must not happen in every step. Nothing is dropped: a
# recorded step reads the tensor at its address.
@cache
def places_on(units: tuple[int, ...], device: torch.device) -> Int[Tensor, " n"]:
    """Positions as a tensor, moved once."""
    return torch.tensor(units, dtype=torch.int64, device=device)


def read_out(
    factors: Float[Tensor, "P T B F"], session: SessionSizes, weights: LinearWeights | OwnReadOut
) -> Float[Tensor, "P B T K N"]:
    """The K parameters of the observation model per unit of a session, in the user's order.

    Parameters that a unit's family lacks are 0, without weights.
    """
    if session.parameter_places is None:
        flat = weights(factors)
    elif isinstance(weights, OwnReadOut):
        found, n_own = weights(factors), len(session.parameter_places)
        shape = (*factors.shape[:3], n_own)
        returned_tensor(weights.read_out, "parameters", found, shape, axes="P T B KN")
        flat = _spread(found, session)
    else:  # cheaper than to spread the output, which is larger by trials and bins
        spread = LinearWeights(_spread(weights.weight, session), _spread(weights.bias, session))
        flat = spread(factors)
    if isinstance(weights, OwnReadOut):
        n_all = session.n_parameters * session.n_units
        shape = (*factors.shape[:3], n_all)
        returned_tensor(weights.read_out, "parameters", flat, shape, axes="P T B KN")
    return flat.view(*factors.shape[:3], session.n_parameters, session.n_units).transpose(1, 2)


@dataclass(frozen=True)
class ReadOut:
    """A session's factors and what maps them to parameters, which is done when asked for."""

    factors: Float[Tensor, "P T B F"]
    weights: LinearWeights | OwnReadOut
    session: SessionSizes

    def parameters(self) -> Float[Tensor, "P B T K N"]:
        return read_out(self.factors, self.session, self.weights)


def _spread(values: Float[Tensor, "... O"], session: SessionSizes) -> Float[Tensor, "... KN"]:
    """Zeros between the outputs, where a unit's family has no such parameter."""
    assert session.parameter_places is not None  # the caller has seen that there are some
    places = places_on(session.parameter_places, values.device)
    n_all = session.n_parameters * session.n_units
    return values.new_zeros(*values.shape[:-1], n_all).index_copy(-1, places, values)
