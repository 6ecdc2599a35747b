"""Settings of what a run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lfads_torch.declare import setting

__all__ = ["InferenceSettings"]


@dataclass(frozen=True, kw_only=True)
class InferenceSettings:
    """Posterior averages."""

    n_samples: int = setting(
        50, "posterior samples that are averaged; 0: the posterior mean", at_least=0
    )
    batch_size: int = setting(
        0, "trials at once; 0: as many as fit in about 1 GiB", unit="trials", at_least=0
    )
    merge: Literal["linear", "smooth", "off"] = setting(
        "linear",
        "how overlapping chops of a session are weighted in merged.nc; off: they are not merged",
    )
    save_generator_states: bool = setting(False, "also save the generator's states (large)")
    ensemble: int = setting(
        1,
        "models whose rates are averaged, at most: the best one and those that improve the "
        "likelihood of the mean rates on validation trials; nothing else is averaged. 1: the best "
        "model alone",
        unit="models",
        at_least=1,
    )
