"""Several families in one recording: each unit has its own (spikes, EMG and calcium together)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lfads_torch.loss.observations.base import Observation, UnitMoments
from lfads_torch.model.sessions import places_on
from lfads_torch.plugin_returns import returned_tensor

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray

__all__ = ["SeveralFamilies", "joined", "parameter_places"]


def joined(families: Sequence[Observation]) -> Observation:
    """One observation for units of these families: the family itself where all are alike."""
    kinds = list(dict.fromkeys(type(family) for family in families))
    if len(kinds) == 1:
        return families[0]
    groups = []
    for kind in kinds:
        units = tuple(n for n, family in enumerate(families) if type(family) is kind)
        groups.append(UnitsOfFamily(families[units[0]], units))
    return SeveralFamilies(tuple(groups), len(families))


def parameter_places(observation: Observation, n_units: int) -> tuple[int, ...] | None:
    """Places `k * N + n` of the parameters [K, N] that exist; None where all of them do.

    Units of a family with fewer parameters than another's leave the last of theirs out.
    """
    families = observation.of_units(n_units)
    largest = observation.n_parameters
    if all(family.n_parameters == largest for family in families):
        return None
    return tuple(
        k * n_units + n
        for k in range(largest)
        for n, family in enumerate(families)
        if k < family.n_parameters
    )


@dataclass(frozen=True)
class UnitsOfFamily:
    """One of several families and its units' positions."""

    family: Observation
    units: tuple[int, ...]

    def of(self, values: Float[Tensor, "... N"]) -> Float[Tensor, "... n"]:
        first, last = self.units[0], self.units[-1]
        if last - first + 1 == len(self.units):
            return values.narrow(-1, first, len(self.units))
        return values.index_select(-1, places_on(self.units, values.device))

    def parameters(self, values: Float[Tensor, "... K N"]) -> Float[Tensor, "... k n"]:
        """This family's own parameters of its units; what stands below them is nothing."""
        return self.of(values.narrow(-2, 0, self.family.n_parameters))

    def moments(self, of_all: UnitMoments) -> UnitMoments:
        share = of_all.zero_share
        return UnitMoments(
            self.of(of_all.mean),
            self.of(of_all.variance),
            self.of(of_all.n_entries),
            None if share is None else self.of(share),
        )


@dataclass(frozen=True)
class SeveralFamilies(Observation):
    """Every unit by its own family. Parameters that a family lacks are 0 and have no gradient."""

    groups: tuple[UnitsOfFamily, ...]
    n_units: int

    @property
    def name(self) -> str:  # type: ignore[override]  # of these families, not of the class
        return ", ".join(group.family.name for group in self.groups)

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        return max(group.family.n_parameters for group in self.groups)

    @property
    def is_spiking(self) -> bool:  # type: ignore[override]
        """Whether all units are; ask `of_units` for one."""
        return all(group.family.is_spiking for group in self.groups)

    def of_units(self, n_units: int) -> tuple[Observation, ...]:
        family_of = {n: group.family for group in self.groups for n in group.units}
        return tuple(family_of[n] for n in range(n_units))

    def negative_log_likelihood(
        self, parameters: Float[Tensor, "... K N"], counts: Float[Tensor, "... N"]
    ) -> Float[Tensor, "... N"]:
        return self._joined(
            lambda group: returned_tensor(
                group.family,
                "negative_log_likelihood",
                group.family.negative_log_likelihood(
                    group.parameters(parameters), group.of(counts)
                ),
                group.of(counts).shape,
                axes="... N",
            )
        )

    def constant(self, counts: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        return self._joined(lambda group: group.family.constant(group.of(counts)))

    def mean(self, parameters: Float[Tensor, "... K N"]) -> Float[Tensor, "... N"]:
        return self._joined(lambda group: group.family.mean(group.parameters(parameters)))

    def draw(
        self, parameters: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.generic]:
        drawn = np.zeros((*parameters.shape[:-2], self.n_units))
        for group in self.groups:
            own = parameters[..., : group.family.n_parameters, list(group.units)]
            drawn[..., list(group.units)] = group.family.draw(own, random)
        return drawn

    def initial_bias(self, moments: UnitMoments) -> Float[Tensor, "K N"]:
        bias = moments.mean.new_zeros(self.n_parameters, self.n_units)
        for group in self.groups:
            rows = group.family.n_parameters
            found = group.family.initial_bias(group.moments(moments))
            bias[:rows, list(group.units)] = returned_tensor(
                group.family, "initial_bias", found, (rows, len(group.units)), axes="K N",
                finite=True,
            )  # fmt: skip
        return bias

    def link(
        self, mean: Float[Tensor, "... N"], moments: UnitMoments
    ) -> Float[Tensor, "... N"] | None:
        parts = [g.family.link(g.of(mean), g.moments(moments)) for g in self.groups]
        known = [part for part in parts if part is not None]
        return self._in_order(known) if len(known) == len(parts) else None

    def support_error(self, counts: Tensor) -> tuple[Tensor, str] | None:
        """The first family's that has one; the mask covers all units."""
        for group in self.groups:
            found = group.family.support_error(group.of(counts))
            if found is not None:
                wrong = torch.zeros_like(counts, dtype=torch.bool)
                wrong[..., list(group.units)] = found[0]
                return wrong, found[1]
        return None

    def _joined(self, of: Callable[[UnitsOfFamily], Tensor]) -> Tensor:
        return self._in_order([of(group) for group in self.groups])

    def _in_order(self, parts: list[Tensor]) -> Tensor:
        """Values of the groups, one after the other, in the order of the units."""
        together = torch.cat(parts, -1)
        order = [n for group in self.groups for n in group.units]
        if order == list(range(self.n_units)):
            return together
        back = tuple(np.argsort(order).tolist())
        return together.index_select(-1, places_on(back, together.device))
