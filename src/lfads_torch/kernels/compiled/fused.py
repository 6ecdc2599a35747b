"""What the compiled library does beside the two scans: the rest of a training step."""

from __future__ import annotations

from dataclasses import dataclass

from lfads_torch.kernels.compiled.adamw import CompiledAdamW
from lfads_torch.kernels.compiled.batch import CompiledBatch
from lfads_torch.kernels.compiled.gru import CompiledGRU
from lfads_torch.kernels.compiled.lagged import CompiledLagged
from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.poisson import CompiledPoisson

__all__ = ["Fused", "fused_with"]


@dataclass(frozen=True)
class Fused:
    """One instruction set's operations. Each caller has a path without them, and says when."""

    gru: CompiledGRU
    lagged: CompiledLagged
    poisson: CompiledPoisson
    batch: CompiledBatch
    adamw: CompiledAdamW


def fused_with(library: Library, instructions: str, *, bf16: bool = False) -> Fused:
    """All operations of the library with these instructions; `bf16` concerns the scan."""
    return Fused(
        gru=CompiledGRU(library, instructions, bf16=bf16),
        lagged=CompiledLagged(library, instructions),
        poisson=CompiledPoisson(library, instructions),
        batch=CompiledBatch(library, instructions),
        adamw=CompiledAdamW(library, instructions),
    )
