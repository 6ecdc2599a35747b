"""The sizes that the data give to a model; nobody types them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ModelSizes", "SessionSizes"]


@dataclass(frozen=True, kw_only=True)
class SessionSizes:
    """One session: all its units in the user's order, and which of them the encoder sees."""

    name: str
    n_units: int
    encoded_units: tuple[int, ...]  # positions of the encoded units, in the user's order
    n_parameters: int = 1  # of the observation model, per unit: the most that any has
    # Places `k * n_units + n` of the parameters that exist, where units have different numbers.
    parameter_places: tuple[int, ...] | None = None

    @property
    def n_outputs(self) -> int:
        """Of the read-out: the parameters of all units."""
        if self.parameter_places is not None:
            return len(self.parameter_places)
        return self.n_parameters * self.n_units

    def existing(self, parameters: Tensor) -> Tensor:
        """Of parameters [..., K * N] those that exist."""
        if self.parameter_places is None:
            return parameters
        return parameters[..., list(self.parameter_places)]


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """Recording bins L, encoded bins E, and the sessions."""

    n_bins: int
    n_encoded_bins: int
    sessions: tuple[SessionSizes, ...]
    n_external_inputs: int = 0  # per bin
    n_trial_inputs: int = 0  # constant over a trial
    readin_size: int | None = None  # None: one session, whose encoded units are the encoder's input

    @property
    def encoder_input_size(self) -> int:
        if self.readin_size is not None:
            return self.readin_size
        return len(self.sessions[0].encoded_units)
