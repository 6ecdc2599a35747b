"""Settings of the search; the hyperparameters it moves are its space (`search/space.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lfads_torch.declare import OwnSettings, setting

__all__ = ["SearchSettings"]


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a population looks for hyperparameters."""

    method: Literal["population", "explore_only", "random", "list"] = setting(
        "population",
        "population: losers copy winners and change what they copied; explore_only: losers change "
        "their own, nobody is copied; random: every member keeps what it drew; list: given values",
    )
    population: int = setting(20, "members", unit="members", at_least=1)
    generations: int = setting(50, "generations at most", unit="generations", at_least=1)
    generation_epochs: int = setting(
        25,
        "length of a generation; the first one lasts until the ramps end and this much longer",
        unit="epochs",
        at_least=1,
    )
    selection: str = setting(
        "tournament",
        "who is copied: tournament (random pairs), against_random (each against one other), "
        "truncation (the worst take from the best), or package.module:Class",
    )
    truncation_share: float = setting(
        0.2, "share of the population that truncation replaces", above=0.0, at_most=0.5
    )
    perturbation: str = setting(
        "log_symmetric", "how a copied value changes: log_symmetric, or package.module:Class"
    )
    resample_probability: float = setting(
        0.0,
        "chance that a copied value is drawn anew from its range instead",
        at_least=0.0,
        at_most=1.0,
    )
    stop_generations: int = setting(
        3,
        "the search ends when the best score has not improved over this many generations; 0: never",
        unit="generations",
        at_least=0,
    )
    stop_tolerance: float = setting(
        5e-4, "relative improvement that counts as none", at_least=0.0, below=1.0
    )
    kl_range: Literal["auto", "published", "beta"] = setting(
        "auto",
        "ranges of the divergences: as published, or in units of the evidence bound; auto: beta "
        "where loss.kl_scale_unit is beta (recordings far from the maze's size)",
    )
    start: Literal["all", "halving"] = setting(
        "all", "begin with the population, or with more members whose best become the population"
    )
    halving_factor: int = setting(
        4, "halving begins with this many times the population (a power of two)", at_least=2
    )
    halving_epochs: int = setting(
        10, "length of a round of halving, after which the worse half goes", unit="epochs",
        at_least=1,
    )  # fmt: skip
    own: OwnSettings = field(default_factory=OwnSettings)  # of plug-ins, in their own sections
