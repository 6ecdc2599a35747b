"""The state of a population: what changes while it trains, the member axis first.

`take(parent)` gathers everything that belongs to a model; `members` belongs to the slot and is
never gathered: the random stream stays with the slot.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfads_torch.model.weights import initial_weights
from lfads_torch.training.streams import Streams

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from lfads_torch.model.weights import Layout
    from lfads_torch.training.hyperparameters import Hyperparameters

__all__ = ["CHECKED_TERMS", "Clocks", "PopulationState", "new_state"]

# What must stay finite, in the order in which a failure is named.
CHECKED_TERMS = (
    "reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss", "gradient_norm",
    "valid_reconstruction",
)  # fmt: skip
_BUFFERS = ("weights", "moment1", "moment2", "best_weights")


@dataclass
class Clocks:
    """Where each member stands. Scores are +inf before the first one, `best_epoch` -1."""

    steps: Int[Tensor, " P"]  # updates of its optimiser
    epochs: Int[Tensor, " P"]
    smoothed: Float[Tensor, " P"]
    best_score: Float[Tensor, " P"]
    best_epoch: Int[Tensor, " P"]
    plateau_best: Float[Tensor, " P"]
    plateau_wait: Int[Tensor, " P"]
    rollbacks: Int[Tensor, " P"]
    is_stopped: Bool[Tensor, " P"]
    broken: Int[Tensor, " P"]  # the term that froze it, by its place in CHECKED_TERMS; -1: none

    @classmethod
    def start(cls, n_members: int, device: torch.device) -> Clocks:
        def whole(value: int) -> Tensor:
            return torch.full((n_members,), value, dtype=torch.int64, device=device)

        def real(value: float) -> Tensor:
            return torch.full((n_members,), value, dtype=torch.float64, device=device)

        infinity = float("inf")
        return cls(
            steps=whole(0),
            epochs=whole(0),
            smoothed=real(infinity),
            best_score=real(infinity),
            best_epoch=whole(-1),
            plateau_best=real(infinity),
            plateau_wait=whole(0),
            rollbacks=whole(0),
            is_stopped=torch.zeros(n_members, dtype=torch.bool, device=device),
            broken=whole(-1),
        )

    def as_dict(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def take(self, source: Tensor) -> Clocks:
        return Clocks(**{name: value[source] for name, value in self.as_dict().items()})

    def put(self, rows: Tensor, part: Clocks) -> None:
        """Overwrite these members' clocks, in place."""
        for name, value in self.as_dict().items():
            value[rows] = getattr(part, name)


@dataclass
class PopulationState:
    """Flat buffers [P, n], one row per member; the named weights are views of them."""

    weights: Float[Tensor, "P n"]
    moment1: Float[Tensor, "P n"]
    moment2: Float[Tensor, "P n"]
    best_weights: Float[Tensor, "P n"]
    hyperparameters: Hyperparameters
    clocks: Clocks
    members: Int[Tensor, " P"]  # permanent ids of the slots
    step: int = 0  # of the population: keys the noise
    epoch: int = 0  # finished epochs of the population

    @property
    def n_members(self) -> int:
        return int(self.weights.shape[0])

    def leaves(self, layout: Layout) -> dict[str, Tensor]:
        """Named weights as autograd leaves that share the flat buffer's memory."""
        views = layout.views(self.weights)
        return {name: view.detach().requires_grad_() for name, view in views.items()}

    def named(self, layout: Layout) -> dict[str, Tensor]:
        """The weights by name, and beside them each member's own numbers of plug-ins."""
        return {**layout.views(self.weights), **self.hyperparameters.own}

    def take(self, parent: Int[Tensor, " P"]) -> None:
        """Give every slot the model of its parent: weights, moments, hyperparameters, clocks."""
        self.restore(parent, self)

    def restore(self, source: Int[Tensor, " P"], other: PopulationState) -> None:
        """Copy into slot p the model of slot `source[p]` of another state of the same shape."""
        for name in _BUFFERS:
            setattr(self, name, getattr(other, name)[source])
        self.hyperparameters = other.hyperparameters.take(source)
        self.clocks = other.clocks.take(source)

    def part(self, rows: Int[Tensor, " R"]) -> PopulationState:
        """Some members as a population of their own, with their ids; nothing is shared."""
        return PopulationState(
            **{name: getattr(self, name)[rows] for name in _BUFFERS},
            hyperparameters=self.hyperparameters.take(rows),
            clocks=self.clocks.take(rows),
            members=self.members[rows],
            step=self.step,
            epoch=self.epoch,
        )

    def put(self, rows: Int[Tensor, " R"], part: PopulationState) -> None:
        """Write a part back to where it was taken from, in place."""
        for name in _BUFFERS:
            getattr(self, name)[rows] = getattr(part, name)
        self.hyperparameters.put(rows, part.hyperparameters)
        self.clocks.put(rows, part.clocks)

    def copy(self) -> PopulationState:
        """An independent copy, to go back to."""
        return self.part(torch.arange(self.n_members, device=self.weights.device))


def new_state(
    layout: Layout,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    members: Int[Tensor, " P"],
    dtype: torch.dtype,
) -> PopulationState:
    """A population at its start; each member's weights depend on (seed, weight's name, member)."""
    streams = Streams(seed, members)

    def normal(name: str, n: int) -> Tensor:
        return streams.normal(f"weights.{name}", 0, None, n)[:, 0]

    weights = initial_weights(layout, normal, len(members)).to(device=members.device, dtype=dtype)
    return PopulationState(
        weights=weights,
        moment1=torch.zeros_like(weights),
        moment2=torch.zeros_like(weights),
        best_weights=weights.clone(),
        hyperparameters=hyperparameters,
        clocks=Clocks.start(len(members), members.device),
        members=members,
    )
