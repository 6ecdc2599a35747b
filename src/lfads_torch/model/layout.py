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

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["GivenStart", "Layout", "LinearWeights", "WeightSpec", "initial_weights"]


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
