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
    "PRECISIONS",
    "Kernels",
    "choose_kernels",
    "describe_compiled",
    "describe_triton",
    "require_one_precision",
    "with_own_generator",
]

BACKENDS = ("reference", "portable", "compiled", "triton")
PRECISIONS = ("float32", "tf32", "bf16")  # of the operands of products


@dataclass(frozen=True)
class Kernels:
    """The two operations of one backend, and why this backend was chosen.

    `name` says what the numbers depend on: the compiled backend names its instruction set and,
    where it is not float32, the precision of its products; the Triton backend the precision.
    """

    name: str
    reason: str
    gru_scan: Callable[..., Tensor]
    decoder_scan: Callable[..., DecoderOutput]
    # As `gru_scan`, but the last state of every direction alone, [P, D, B, H]. None: out of all.
    gru_ends: Callable[..., Tensor] | None = None
    # The rest of a step in the compiled library. None: PyTorch operations, as for all that it does
    # not know (other observation families, read-ins, precisions and devices).
    fused: Fused | None = None
    # Read-out and Poisson likelihood in one kernel, for training and, in float32, for scores. None:
    # the PyTorch operations of kernels/poisson.py, and those of the family.
    poisson: Callable[..., Tensor] | None = None
    poisson_score: Callable[..., Tensor] | None = None
    # Clip and AdamW in one pass, in place; answers whether it could. None: PyTorch operations.
    adamw: Callable[..., bool] | None = None
    precision: str = "float32"  # of the operands of products, one of PRECISIONS


def choose_kernels(
    wanted: str = "auto",
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    precision: str = "auto",
) -> Kernels:
    """The backend asked for; `auto` takes the fastest that can compute in `dtype` on `device`.

    They default to float32 on the CPU. `precision` is run.precision; bf16 asks for products of
    bf16 operands with float32 sums and states, all else for float32. `compiled-avx2` asks for the
    compiled backend with that instruction set, `compiled` for the best that this machine has;
    `triton` for the Triton backend. A name may end with a precision of its own, which then counts:
    `compiled-avx2-bf16`, `compiled-bf16`, `triton-tf32`. Raises SettingsError for an unknown name,
    and for a forced backend or precision that cannot run.
    """
    if wanted in ("reference", "portable"):
        return _of_pytorch(wanted, precision)
    if wanted == "auto":
        return _fastest(device, dtype, precision)
    backend, _, kind = wanted.partition("-")
    if backend in ("compiled", "triton") and (kind or wanted == backend):
        if precision == "bf16" and not _precision_in(wanted):
            kind = f"{kind}-bf16" if kind else "bf16"
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


def _fastest(device: torch.device | None, dtype: torch.dtype | None, precision: str) -> Kernels:
    on_gpu = device is not None and device.type == "cuda"
    kind = "bf16" if precision == "bf16" else ""
    found = _triton(kind, device, dtype) if on_gpu else _compiled(kind, device, dtype)
    if not isinstance(found, str):
        told = ", as run.precision auto means" if precision == "auto" else ""
        return replace(found, reason=f"{found.reason}{told}")
    if kind:
        raise SettingsError(
            f"run.precision: bf16 cannot run here: {found}. Choose float32 or auto."
        )
    return _portable(f"the fastest that can run here: {found}")


def _of_pytorch(wanted: str, precision: str) -> Kernels:
    if precision == "bf16":
        raise SettingsError(
            f"kernels: {wanted} computes its products in float32, but run.precision is bf16, which "
            "only the compiled and the Triton kernels have. Choose run.precision float32, or "
            "kernels auto."
        )
    return _reference() if wanted == "reference" else _portable("forced")


def require_one_precision(
    wanted: str, precision: str, *, remedy: str = "Leave one of them out."
) -> None:
    """Raise SettingsError where the backend's name and run.precision say different things."""
    named = _precision_in(wanted)
    if named and precision not in ("auto", named):
        raise SettingsError(
            f"kernels: {wanted} asks for {named}, but run.precision is {precision}. {remedy}"
        )


def _precision_in(wanted: str) -> str:
    """The precision that the name of a backend ends with, or nothing."""
    last = wanted.rpartition("-")[2]
    return last if last in PRECISIONS else ""


def with_own_generator(kernels: Kernels, cell: str) -> Kernels:
    """The same, but generation goes through the reference scan, for `cell` has no fast version.

    Raises SettingsError for bf16, which the reference scan does not have.
    """
    from lfads_torch.kernels.decoder.reference import decoder_scan

    if kernels.precision == "bf16":
        raise SettingsError(
            f"run.precision: the generator {cell} is computed by the reference scan, which has no "
            "bf16 products, but bf16 is asked for. Choose run.precision float32 or auto (to go on "
            "with a run that began so, add --precision float32 --allow-different-numbers)."
        )
    scan = (
        "the reference scan" if kernels.precision == "float32" else "the reference scan in float32"
    )
    reason = f"{kernels.reason}; generation by {scan}, for {cell} has no fast version"
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
    from lfads_torch.kernels.gru.portable import gru_ends, gru_scan

    return Kernels("portable", reason, gru_scan, decoder_scan, gru_ends)


def _compiled(kind: str, device: torch.device | None, dtype: torch.dtype | None) -> Kernels | str:
    """The compiled backend, or why it cannot run. `kind`: instruction set, precision, or both.

    No instruction set: the best one. No precision: float32.
    """
    from lfads_torch.kernels.compiled.library import Absent, find_library

    if device is not None and device.type != "cpu":
        return f"the compiled backend runs on the CPU, not on {device.type}"
    if dtype is not None and str(dtype) != "torch.float32":
        return f"the compiled backend computes in float32, not in {dtype}".replace("torch.", "")
    library = find_library()
    if isinstance(library, Absent):
        return library.reason
    bf16 = kind.rpartition("-")[2] == "bf16"
    instructions = kind.removesuffix("bf16").removesuffix("-") if bf16 else kind
    if instructions and instructions not in library.instruction_sets + library.emulated:
        known = ", ".join(library.instruction_sets)
        return f"the compiled backend has no {instructions!r} on this machine, but {known}"
    from lfads_torch.kernels.compiled.decoder import CompiledDecoder
    from lfads_torch.kernels.compiled.fused import fused_with

    if bf16 and instructions and not library.may_use_bf16(instructions):
        return f"the system does not grant this process the tiles of {instructions}"
    used = instructions or (library.best_of_bf16 if bf16 else library.best)
    reason = "forced" if instructions else f"the fastest here; the processor has {used}"
    fused = fused_with(library, used, bf16=bf16)
    decoder = CompiledDecoder(library, used, bf16=bf16)
    name, told, precision = f"compiled-{used}", "products in float32", "float32"
    if bf16:
        name, told, precision = f"{name}-bf16", _told_of_bf16(used), "bf16"
    operations = (fused.gru, decoder, fused.gru.ends, fused)
    return Kernels(name, f"{reason}; {told}", *operations, precision=precision)


def _told_of_bf16(instructions: str) -> str:
    what = "products of bf16 operands, sums and states in float32"
    if instructions == "amx":
        return f"{what}, on the tiles of AMX"
    if instructions == "amx_emulated":
        return f"{what}, on tiles of AMX emulated for tests: slow"
    return f"{what}; without AMX they are rounded and multiplied as float32, which is no faster"


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
    from lfads_torch.kernels.triton.poisson import TritonPoisson

    products = Products(next(p for p in PRECISIONS if p == (precision or PRECISIONS[0])))
    told = f"products of {products.precision} operands, sums and states in float32"
    reason = told if precision else "the fastest on this device in float32"
    name = f"triton-{products.precision}"
    return Kernels(
        name,
        reason,
        TritonGRU(products),
        TritonDecoder(products),
        poisson=TritonPoisson(products),
        poisson_score=TritonPoisson(Products("float32")),
        adamw=adamw,
        precision=products.precision,
    )
