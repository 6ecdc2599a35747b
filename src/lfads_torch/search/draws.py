"""The random numbers of one step of the search.

A number belongs to (run seed, site, generation, member): what a member draws does not depend on
who else is in the population.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lfads_torch.training.streams import Streams

__all__ = ["Draws"]

_OFFSET = 1 << 16  # halving counts its rounds -n..-1; a counter is not negative


@dataclass(frozen=True)
class Draws:
    """Numbers for the members with these permanent ids."""

    seed: int
    generation: int
    members: tuple[int, ...]
    occasion: str = ""  # draws apart from those at the generation's end

    @property
    def n_members(self) -> int:
        return len(self.members)

    def of(self, positions: NDArray[np.int64]) -> Draws:
        """The same numbers, of some members only."""
        return replace(self, members=tuple(self.members[p] for p in positions))

    def uniform(self, site: str, n: int) -> NDArray[np.float64]:
        """Uniform on the open interval (0, 1), [P, n]."""
        return (self._words(site, n) + 0.5) * 2.0**-32

    def order(self, site: str) -> NDArray[np.int64]:
        """A random order of the members' positions, [P]: sorted by a word of each one's own."""
        words = self._words(site, 2)
        return np.lexsort((np.array(self.members), words[:, 1], words[:, 0]))

    def below(self, site: str, n_choices: int) -> NDArray[np.int64]:
        """A number 0 .. n_choices - 1 for every member, [P]."""
        return np.floor(self.uniform(site, 1)[:, 0] * n_choices).astype(np.int64)

    def _words(self, site: str, n: int) -> NDArray[np.float64]:
        streams = Streams(self.seed, torch.tensor(self.members, dtype=torch.int64))
        words = streams.bits(f"search.{self.occasion}{site}", self.generation + _OFFSET, None, n)
        return words[:, 0].numpy().astype(np.float64)
