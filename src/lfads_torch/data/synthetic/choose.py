"""A synthetic system by its name, with any of its settings changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.chaotic_network import (
    ChaoticNetworkSettings,
    chaotic_network_recording,
)
from lfads_torch.data.synthetic.checked_settings import checked_settings
from lfads_torch.data.synthetic.lorenz import LorenzSettings, lorenz_recording
from lfads_torch.errors import SettingsError

__all__ = ["Plan", "SyntheticSystem", "available_systems", "plan_synthetic", "synthesise"]


@dataclass(frozen=True, kw_only=True)
class SyntheticSystem:
    """A named system: its generator, its settings and those in which the name differs from them."""

    name: str  # of the generator, in the provenance of what it makes
    help: str
    settings: type[Any]  # a settings dataclass; each generator takes its own
    generate: Callable[[Any, np.random.Generator], Recording]
    values: Mapping[str, Any]  # setting name -> value


def available_systems() -> dict[str, SyntheticSystem]:
    """Every name that `synthesise` knows."""
    return {
        "lorenz": _lorenz("Lorenz attractor, Poisson counts", {}),
        "lorenz-2016": _lorenz(
            "Lorenz attractor as in the 2016 paper: centred per condition, binary spikes",
            {"centring": "condition", "spikes": "binary"},
        ),
        "chaotic": _chaotic("chaotic network", {}),
        "chaotic-pulses": _chaotic(
            "chaotic network with one input pulse per trial", {"has_pulses": True}
        ),
        "chaotic-session": _chaotic(
            "one session of a chaotic network (session=0, 1, ...): 20 of its 100 units",
            {
                "n_conditions": 150,
                "n_trials_per_condition": 10,
                "n_units": 100,
                "n_observed": 20,
            },
        ),
        "demo": _lorenz("a small, slow Lorenz attractor for the demonstration", _demo()),
    }


def _lorenz(help: str, values: Mapping[str, Any]) -> SyntheticSystem:  # any setting of the system
    return SyntheticSystem(
        name="lorenz", help=help, settings=LorenzSettings, generate=lorenz_recording, values=values
    )


def _chaotic(help: str, values: Mapping[str, Any]) -> SyntheticSystem:  # any setting of the system
    return SyntheticSystem(
        name="chaotic_network",
        help=help,
        settings=ChaoticNetworkSettings,
        generate=chaotic_network_recording,
        values=values,
    )


def _demo() -> dict[str, Any]:  # any setting of the system
    """400 trials of 60 bins, about 15 spikes/s: enough to learn in minutes on two cores."""
    return {
        "n_conditions": 40,
        "n_trials_per_condition": 10,
        "n_valid_per_condition": 2,
        "n_test_per_condition": 1,
        "n_units": 40,
        "n_steps": 600,
        "bin_width_s": 0.01,
        "euler_step": 0.003,
        "base_rate_hz": 11.5,
        "weight_scale": 0.6,
    }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be made, before the work of making it."""

    system: SyntheticSystem
    settings: Any  # of `system.settings`, which differ from system to system
    seed: int

    def provenance(self) -> dict[str, Any]:  # JSON values
        """Of the recording that comes of it."""
        return {
            "source": "synthetic",
            "system": self.system.name,
            "settings": asdict(self.settings),
            "seed": self.seed,
        }

    def make(self) -> Recording:
        """The recording; the same plan gives the same numbers."""
        made = self.system.generate(self.settings, np.random.Generator(np.random.Philox(self.seed)))
        return replace(made, provenance={**made.provenance, "seed": self.seed})


def synthesise(name: str, seed: int, **overrides: Any) -> Recording:  # any setting of the system
    """The recording of a named system; the same name, seed and overrides give the same numbers."""
    return plan_synthetic(name, seed, **overrides).make()


def plan_synthetic(name: str, seed: int, **overrides: Any) -> Plan:  # any setting of the system
    """The same before anything is made of it.

    Overrides are settings by name; text is converted to the setting's type, so that values of a
    command line can be passed on as they are.
    """
    systems = available_systems()
    if name not in systems:
        near = get_close_matches(name, systems, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"{name!r} is no synthetic system. Known: {', '.join(systems)}.{hint}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SettingsError(f"the seed is {seed!r}; a whole number of at least 0 is needed.")
    system = systems[name]
    settings = checked_settings(
        system.settings, {**system.values, **overrides}, where=f"synth {name}"
    )
    return Plan(system=system, settings=settings, seed=int(seed))
