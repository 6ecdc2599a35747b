"""Settings of a run as a whole: seed, device, precision, preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lfads_torch.declare import setting

__all__ = ["RunSettings"]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where and how a run computes; nothing here belongs to the model."""

    seed: int = setting(
        0, "seed of everything random but the split", at_least=0, at_most=4294967295
    )
    n_seeds: int = setting(1, "restarts trained as members of one population", at_least=1)
    members_at_once: int = setting(
        0,
        "members that train at once, the others in turn; 0: on a GPU as memory allows, on a CPU a "
        "few, for more would be no faster",
        unit="members",
        at_least=0,
    )
    memory_gb: float = setting(
        0.0,
        "memory that training may take, by the estimate of `lfads check`; members that go beyond "
        "it train in turn, counts that do are read by trial (data.read_by); 0: 60 % of what is "
        "free",
        unit="GB",
        at_least=0.0,
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "where to compute; auto: cuda where there is one"
    )
    threads: int = setting(0, "threads of the processor; 0: all", at_least=0)
    precision: Literal["auto", "float32", "float64", "bf16"] = setting(
        "auto",
        "type of all numbers; bf16: products of bf16 operands in the recurrences (on a GPU also in "
        "the read-out), all else float32 (expected to be faster with AMX and on a GPU, not yet run "
        "on such a processor; refused where no kernels have it); auto: float32",
    )
    preset: str = setting(
        "auto", "values that the other settings start from; auto: by training trials and units"
    )
