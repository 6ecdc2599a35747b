"""Settings of which trials, units and bins serve for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lfads_torch.declare import setting

__all__ = ["ChopSettings", "DataSettings", "SplitSettings"]


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How a data file is read."""

    read_by: Literal["auto", "memory", "trial"] = setting(
        "auto",
        "memory: counts are read whole; trial: they stay in the file and each batch reads its "
        "own; auto: by trial where the file allows it and the counts do not fit in run.memory_gb",
    )


@dataclass(frozen=True, kw_only=True)
class ChopSettings:
    """How a continuous session is cut into trials when a fit is given the session itself."""

    length_s: float = setting(
        0.0, "length of the trials; 0: the file holds trials already", unit="s", at_least=0.0
    )
    overlap_s: float = setting(0.0, "time that neighbours share", unit="s", at_least=0.0)


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """How trials are divided when the recording does not already carry a split."""

    method: Literal["random", "stratified", "every_kth", "blocks"] = setting(
        "stratified",
        "random; stratified by condition (random where there are none, in blocks where trials are "
        "chopped from one session); every k-th trial; blocks of time with gaps between sets",
    )
    valid_fraction: float = setting(0.2, "trials for validation", above=0.0, below=1.0)
    test_fraction: float = setting(0.0, "trials for test", at_least=0.0, below=1.0)
    held_out_fraction: float = setting(
        0.0, "units never shown to the encoder, drawn stratified by rate", at_least=0.0, below=1.0
    )
    n_forward_bins: int = setting(
        0, "bins at the end that are predicted, not shown to the encoder", unit="bins", at_least=0
    )
    n_blocks: int = setting(
        0, "blocks of time that a session is divided into; 0: of about ten trials", at_least=0
    )
    gap_bins: int = setting(
        0, "least distance of blocks' sets; 0: the longest trial's length", unit="bins", at_least=0
    )
    seed: int = setting(0, "seed of the split", at_least=0)
