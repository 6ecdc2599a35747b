"""Successive halving: many members train for few epochs, the better half goes on.

Source: Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization" (AISTATS), algorithm 1; here the survivors become a population.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lfads_torch.search.archive import Archive

if TYPE_CHECKING:
    from lfads_torch.search.state import SearchState

__all__ = ["keep_better_half"]


def keep_better_half(state: SearchState, scores: NDArray[np.float64]) -> list[str]:
    """Drop the worse half of the members, those without a finite score first.

    Survivors keep their ids and their order, and become the founders of the lines. Equal scores
    are decided by the order. What became of each member, in a word.
    """
    n = len(scores) // 2
    ranked = np.argsort(np.where(np.isfinite(scores), scores, np.inf), kind="stable")
    kept = np.sort(ranked[:n])
    positions = torch.as_tensor(kept, device=state.population.members.device)
    state.population = state.population.part(positions)
    state.parent = state.population.members.clone()
    state.founder = state.population.members.clone()
    state.archive = Archive.of_founders(state.population)
    is_kept = np.isin(np.arange(len(scores)), kept)
    return ["kept" if each else "dropped" for each in is_kept]
