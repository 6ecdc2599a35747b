"""What a search is besides its population: where it stands, descent, the best so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.search.archive import Archive
from lfads_torch.search.draws import Draws
from lfads_torch.search.perturb import first_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jaxtyping import Int
    from torch import Tensor

    from lfads_torch.declare import OwnSettings
    from lfads_torch.model.weights import Layout
    from lfads_torch.search.space import Space
    from lfads_torch.training.state import PopulationState

__all__ = ["SearchState", "draw_first", "load_search", "save_search", "start_search"]

_PREFIX = "search/"


@dataclass
class SearchState:
    """A population and its history's end; all of it is stored for exact resume."""

    population: PopulationState
    generation: int  # in progress; halving's rounds are negative
    parent: Int[Tensor, " P"]  # id of the member that each one started this generation from
    founder: Int[Tensor, " P"]  # id of the member in which its line began
    archive: Archive

    def draws(self, seed: int) -> Draws:
        """The random numbers at the end of this generation."""
        return Draws(seed, self.generation, tuple(self.population.members.tolist()))


def start_search(population: PopulationState, *, generation: int) -> SearchState:
    """A search at its start; hyperparameters are drawn already (`draw_first`)."""
    return SearchState(
        population=population,
        generation=generation,
        parent=population.members.clone(),
        founder=population.members.clone(),
        archive=Archive.of_founders(population),
    )


def draw_first(population: PopulationState, space: Space, *, seed: int) -> None:
    """Give every member its first value of every searched hyperparameter, in place."""
    draws = Draws(seed, 0, tuple(population.members.tolist()))
    for each in space:
        own = population.hyperparameters.value(each.field)
        own.copy_(torch.as_tensor(first_values(each, draws)))


def save_search(path: Path, state: SearchState, layout: Layout, *, seed: int) -> None:
    """The whole state in one file. Raises OutputError; an older file then stays whole."""
    from lfads_torch.training.checkpoint import save_state

    extras = {
        f"{_PREFIX}generation": torch.tensor([state.generation]),
        f"{_PREFIX}parent": state.parent,
        f"{_PREFIX}founder": state.founder,
        f"{_PREFIX}slot": state.archive.slot,
        **state.archive.models.named(layout, f"{_PREFIX}best/"),
    }
    save_state(path, state.population, layout, seed=seed, extras=extras)


def load_search(
    path: Path, layout: Layout, device: torch.device, *, own: OwnSettings | None = None
) -> SearchState:
    """The search as it was saved. Raises RunError where the file is damaged or no search's.

    `own` as in `training.checkpoint.load_state`, for the archive too.
    """
    from lfads_torch.errors import RunError
    from lfads_torch.training.checkpoint import load_best, load_extras, load_state

    population = load_state(path, layout, device, own=own)
    extras = load_extras(path, device, prefix=_PREFIX)
    try:
        models = load_best(path, layout, device, prefix=f"{_PREFIX}best/")
        if own is not None:
            models = replace(models, hyperparameters=models.hyperparameters.filled(own))
        archive = Archive(models, extras["slot"])
        _require_whole(extras, population, archive)
        return SearchState(
            population=population,
            generation=int(extras["generation"]),
            parent=extras["parent"],
            founder=extras["founder"],
            archive=archive,
        )
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{path}: holds no search ({error}); one that `lfads search` wrote is needed. Restore "
            "it from a copy, or search again."
        ) from error


def _require_whole(
    extras: Mapping[str, Tensor], population: PopulationState, archive: Archive
) -> None:
    """Raise ValueError where the parts of a stored search do not belong together."""
    n, lines = population.n_members, archive.models.members
    needed = {"generation": 1, "parent": n, "founder": n, "slot": len(lines)}
    for name, size in needed.items():
        if tuple(extras[name].shape) != (size,):
            found = tuple(extras[name].shape)
            raise ValueError(f"{name!r} has the shape {found}, needed {(size,)}")
    if not bool(torch.isin(extras["founder"], lines).all()):
        raise ValueError(
            f"the founders {extras['founder'].tolist()} are not all among the lines "
            f"{lines.tolist()}"
        )
