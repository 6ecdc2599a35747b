"""Which backend runs the recurrences: one function decides; it can be forced, and is logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lfads_torch.kernels.compiled.fused import Fused
    from lfads_torch.kernels.decoder.reference import DecoderOutput

__all__ = [
    "BACKENDS",
    "Kernels",
    "choose_kernels",
    "describe_compiled",
    "describe_triton",
    "with_own_generator",
]

BACKENDS = ("reference", "portable", "compiled", "triton")


@dataclass(frozen=True)
class Kernels:
    """The two operations of one backend, and why this backend was chosen.

    `name` says what the numbers depend on: the compiled backend names its instruction set, the
    Triton backend the precision of its products.
    """

    name: str
    reason: str
    gru_scan: Callable[..., Tensor]
    decoder_scan: Callable[..., DecoderOutput]
    # The rest of a step in the compiled library. None: PyTorch operations, as for all that it does
    # not know (other observation families, read-ins, precisions and devices).
    fused: Fused | None = None
    # Clip and AdamW in one pass, in place; answers whether it could. None: PyTorch operations.
    adamw: Callable[..., bool] | None = None


def choose_kernels(
    wanted: str = "auto",
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Kernels:
    """The backend asked for; `auto` takes the fastest that can compute in `dtype` on `device`.

    They default to float32 on the CPU. `compiled-avx2` asks for the compiled backend with that
    instruction set, `compiled` for the best that this machine has; `triton-bf16` for the Triton
    backend with products of that precision (float32, tf32, bf16), `triton` for float32. Raises
    SettingsError for an unknown name, and for a forced backend that cannot run.
    """
    if wanted == "reference":
        return _reference()
    if wanted == "portable":
        return _portable("forced")
    if wanted == "auto":
        on_gpu = device is not None and device.type == "cuda"
        found = _triton("", device, dtype) if on_gpu else _compiled("", device, dtype)
        if isinstance(found, str):
            return _portable(f"the fastest that can run here: {found}")
        return found
    backend, _, kind = wanted.partition("-")
    if backend in ("compiled", "triton") and (kind or wanted == backend):
        found = (_triton if backend == "triton" else _compiled)(kind, device, dtype)
        if isinstance(found, str):
            raise SettingsError(
                f"kernels: {wanted} cannot run here: {found}. Choose auto, portable or reference "
                "(to go on with a run that began with others, add --allow-different-numbers)."
            )
        return found
    raise SettingsError(
        f"kernels: {wanted!r} is not a backend; choose auto, {', '.join(BACKENDS)}."
    )


def with_own_generator(kernels: Kernels, cell: str) -> Kernels:
    """The same, but generation goes through the reference scan, for `cell` has no fast version."""
    from lfads_torch.kernels.decoder.reference import decoder_scan

    reason = f"{kernels.reason}; generation by the reference scan, for {cell} has no fast version"
    return replace(kernels, reason=reason, decoder_scan=decoder_scan)


def describe_compiled() -> str:
    """The instruction sets of the compiled backend on this machine, or why there are none."""
    from lfads_torch.kernels.compiled.library import Absent, find_library

    library = find_library()
    if isinstance(library, Absent):
        return (
            f"not available: {library.reason}; with it a training step takes about half the time "
            "(benchmarks/kernel_steps.py)"
        )
    return ", ".join(library.instruction_sets)


def describe_triton() -> str:
    """The precisions of the Triton backend, or why it cannot run on this machine."""
    import torch

    found = _triton("", torch.device("cuda"), None)
    if not isinstance(found, str) and not torch.cuda.is_available():
        found = "this PyTorch finds no CUDA device"
    return f"not available: {found}" if isinstance(found, str) else "float32, tf32, bf16"


def _reference() -> Kernels:
    from lfads_torch.kernels.decoder.reference import decoder_scan
    from lfads_torch.kernels.gru.reference import gru_scan

    return Kernels("reference", "forced", gru_scan, decoder_scan)


def _portable(reason: str) -> Kernels:
    from lfads_torch.kernels.decoder.portable import decoder_scan
    from lfads_torch.kernels.gru.portable import gru_scan

    return Kernels("portable", reason, gru_scan, decoder_scan)


def _compiled(
    instructions: str, device: torch.device | None, dtype: torch.dtype | None
) -> Kernels | str:
    """The compiled backend, or why it cannot run. No instruction set: the best one."""
    from lfads_torch.kernels.compiled.library import Absent, find_library

    if device is not None and device.type != "cpu":
        return f"the compiled backend runs on the CPU, not on {device.type}"
    if dtype is not None and str(dtype) != "torch.float32":
        return f"the compiled backend computes in float32, not in {dtype}".replace("torch.", "")
    library = find_library()
    if isinstance(library, Absent):
        return library.reason
    if instructions and instructions not in library.instruction_sets:
        known = ", ".join(library.instruction_sets)
        return f"the compiled backend has no {instructions!r} on this machine, but {known}"
    from lfads_torch.kernels.compiled.decoder import CompiledDecoder
    from lfads_torch.kernels.compiled.fused import fused_with

    used = instructions or library.best
    reason = "forced" if instructions else f"the fastest here; the processor has {used}"
    fused, decoder = fused_with(library, used), CompiledDecoder(library, used)
    return Kernels(f"compiled-{used}", reason, fused.gru, decoder, fused)


def _triton(
    precision: str, device: torch.device | None, dtype: torch.dtype | None
) -> Kernels | str:
    """The Triton backend, or why it cannot run. No precision: float32."""
    if dtype is not None and str(dtype) != "torch.float32":
        return f"the Triton backend keeps states in float32, not in {dtype}".replace("torch.", "")
    try:
        from lfads_torch.kernels.triton.precision import PRECISIONS, Products, runs_in_interpreter
    except ImportError as error:
        return f"Triton cannot be imported ({error}); it comes with a CUDA build of PyTorch"
    where = "cpu" if device is None else device.type
    if where != "cuda" and not runs_in_interpreter():
        return f"the Triton backend runs on a CUDA device, not on {where}"
    if precision and precision not in PRECISIONS:
        return f"the Triton backend has no {precision!r}, but {', '.join(PRECISIONS)}"
    from lfads_torch.kernels.triton.adamw import adamw
    from lfads_torch.kernels.triton.decoder import TritonDecoder
    from lfads_torch.kernels.triton.gru import TritonGRU

    products = Products(next(p for p in PRECISIONS if p == (precision or PRECISIONS[0])))
    reason = "forced" if precision else "the fastest on this device in float32"
    name = f"triton-{products.precision}"
    gru, decoder = TritonGRU(products), TritonDecoder(products)
    return Kernels(name, reason, gru, decoder, adamw=adamw)
