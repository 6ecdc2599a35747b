"""The read-out of LFADS, a linear map, by the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from lfads_torch.model.layout import LinearWeights, WeightSpec
from lfads_torch.model.read_outs.base import ReadOut

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LinearReadOut"]


class LinearReadOut(ReadOut):
    """`factors W + b`, W from N(0, 1/n_factors), b from the data."""

    def specs(self, n_factors: int, bias: Float[Tensor, " KN"]) -> list[WeightSpec]:
        return [
            WeightSpec("weight", (n_factors, len(bias)), fan_in=n_factors),
            WeightSpec("bias", (len(bias),), constant=bias),
        ]

    def parameters(
        self, factors: Float[Tensor, "P *T F"], weights: Mapping[str, Tensor]
    ) -> Float[Tensor, "P *T KN"]:
        return LinearWeights(weights["weight"], weights["bias"])(factors)
