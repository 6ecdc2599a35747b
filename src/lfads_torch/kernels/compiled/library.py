"""Finds the compiled library, loads it, and calls it. Nothing is compiled here.

The structures repeat those of native/interface.h field by field; `INTERFACE` is the same number.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EMULATED", "INSTRUCTION_SETS", "Absent", "Library", "find_library"]

INTERFACE = 4
# Weakest first, numbered as in native/entry.cpp. AMX only adds products of bf16 operands.
INSTRUCTION_SETS = ("generic", "avx2", "avx512", "amx")
# The source of the two widest, run by AVX2: for tests, and never chosen by themselves.
EMULATED = ("avx512_emulated", "amx_emulated")
_NUMBERED = INSTRUCTION_SETS + EMULATED
_FILE = "lfads_kernels"
_HOW = "run `make compiled`, or reinstall where there are CMake and a C++ compiler"


class _Gru(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("members", "directions", "bins", "trials")),
        *((name, ctypes.c_int64) for name in ("inputs", "size", "starts", "reversed")),
        *((name, ctypes.c_int64) for name in ("threads", "clipped", "bf16")),
        ("clip", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("x", "start", "input", "recurrent", "bias")),
        *((name, ctypes.c_void_p) for name in ("states", "gates", "unclipped")),
        *((name, ctypes.c_void_p) for name in ("of_states", "of_ends", "of_x", "of_start")),
        *((name, ctypes.c_void_p) for name in ("of_input", "of_recurrent", "of_bias")),
    ]


_DECODER_SIZES = (
    "members", "bins", "trials", "encoded", "controller", "inferred", "external", "generator",
    "factors", "threads", "clipped", "bf16",
)  # fmt: skip
_DECODER_ARRAYS = (
    "generator_state", "encoder_states", "external_inputs", "noise", "first_mask",
    "generator_mask", "factor_mask", "controller_input", "controller_recurrent",
    "controller_bias", "controller_state", "output_weight", "output_bias", "generator_input",
    "generator_recurrent", "generator_bias", "to_factors",
    "made_factors", "generator_states", "controller_states", "means", "log_variances", "inputs",
    "first_factors", "generator_gates", "controller_gates", "generator_unclipped",
    "controller_unclipped",
    "of_factors", "of_generator_states", "of_controller_states", "of_means", "of_log_variances",
    "of_inputs",
    "of_generator_state", "of_encoder_states", "of_external_inputs", "of_controller_input",
    "of_controller_recurrent", "of_controller_bias", "of_controller_state", "of_output_weight",
    "of_output_bias", "of_generator_input", "of_generator_recurrent", "of_generator_bias",
    "of_to_factors",
)  # fmt: skip


class _Decoder(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _DECODER_SIZES),
        ("clip", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in _DECODER_ARRAYS),
    ]


class _Random(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("members", "rows", "words", "threads")),
        *((name, ctypes.c_uint32) for name in ("key0", "key1", "step")),
        *((name, ctypes.c_void_p) for name in ("member", "row")),
        *((name, ctypes.c_int64) for name in ("elements", "bins")),
        *((name, ctypes.c_void_p) for name in ("threshold", "scale", "bits", "kept", "mask")),
    ]


_POISSON_SIZES = (
    "members", "bins", "trials", "factors", "units", "threads", "recording_bins", "first_bin",
    "member_stride", "bin_stride", "gradient_bin", "gradient_trial",
    "adds_constant",
)  # fmt: skip
_POISSON_ARRAYS = (
    "made_factors", "weight", "bias", "counts", "index", "is_present", "has_gradient",
    "is_counted", "total", "n_present", "of_factors", "of_weight", "of_bias",
)  # fmt: skip


class _Poisson(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _POISSON_SIZES),
        *((name, ctypes.c_void_p) for name in _POISSON_ARRAYS),
    ]


_BATCH_SIZES = (
    "members", "trials", "bins", "units", "recording_bins", "encoded_bins", "first_bin", "inputs",
    "threads",
)  # fmt: skip
_BATCH_KEYS = ("key0", "step", "hide_site", "pass_site", "drop_site")
_BATCH_ARRAYS = (
    "member", "row", "index", "counts", "unit", "never_hidden", "hides_nothing", "hide_threshold",
    "pass_threshold", "drop_threshold", "hide_scale", "drop_scale", "x", "has_gradient",
)  # fmt: skip


class _Batch(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in _BATCH_SIZES),
        *((name, ctypes.c_uint32) for name in _BATCH_KEYS),
        *((name, ctypes.c_void_p) for name in _BATCH_ARRAYS),
    ]


class _AdamW(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("members", "n", "threads")),
        *((name, ctypes.c_void_p) for name in ("gradient", "numbers", "is_active")),
        *((name, ctypes.c_void_p) for name in ("weights", "moment1", "moment2")),
    ]


class _Lagged(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("members", "bins", "trials", "encoded_bins")),
        *((name, ctypes.c_int64) for name in ("size", "lag", "threads")),
        *((name, ctypes.c_void_p) for name in ("states", "mask", "seen", "of_seen", "of_states")),
    ]


_STRUCTURES = {
    "gru_forward": _Gru,
    "gru_backward": _Gru,
    "decoder_forward": _Decoder,
    "decoder_backward": _Decoder,
    "random": _Random,
    "poisson": _Poisson,
    "batch": _Batch,
    "adamw": _AdamW,
    "lagged": _Lagged,
}


@dataclass(frozen=True)
class Absent:
    """Why there is no compiled library, and what to do."""

    reason: str


@dataclass(frozen=True)
class Library:
    """The loaded library and the instruction sets that it can use on this machine."""

    handle: ctypes.CDLL
    instruction_sets: tuple[str, ...]
    emulated: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The fastest instruction set for float32."""
        return [name for name in self.instruction_sets if name != "amx"][-1]

    @property
    def best_of_bf16(self) -> str:
        """The fastest for products of bf16 operands."""
        return [name for name in self.instruction_sets if self.may_use_bf16(name)][-1]

    def may_use_bf16(self, instructions: str) -> bool:
        """Whether an instruction set of this machine may; AMX asks the system for its tiles here.

        Only where bf16 is chosen: what the system grants costs every thread a larger signal frame.
        """
        if not hasattr(self.handle, "lfads_supports_bf16"):
            return True  # an older library, which has asked while it was loaded
        return bool(self.handle.lfads_supports_bf16(ctypes.c_int32(_NUMBERED.index(instructions))))

    def call(
        self,
        function: str,
        instructions: str,
        numbers: Mapping[str, int | float],
        arrays: Mapping[str, Tensor | None],
    ) -> None:
        """Call a function of the C interface; arrays are contiguous and live through the call."""
        given = _STRUCTURES[function](**numbers)
        for name, tensor in arrays.items():
            if tensor is not None:
                setattr(given, name, tensor.data_ptr())
        answer = getattr(self.handle, f"lfads_{function}")(
            _NUMBERED.index(instructions), ctypes.byref(given)
        )
        if answer == 1:
            raise MemoryError(f"the compiled {function} found no memory for its working arrays")
        if answer != 0:
            raise ValueError(f"the compiled library cannot use {instructions} on this machine")


@functools.cache
def find_library(folder: Path | None = None) -> Library | Absent:
    """The library in `folder`, by default beside this file; loaded once."""
    folder = Path(__file__).parent if folder is None else folder
    # The build renames its .part into place.
    found = sorted(each for each in folder.glob(f"{_FILE}.*") if each.suffix != ".part")
    if not found:
        return Absent(f"the compiled library was not built; {_HOW}")
    try:
        handle = ctypes.CDLL(str(found[0]))
        interface = int(handle.lfads_interface())
    except (OSError, AttributeError) as error:
        return Absent(f"the compiled library cannot be loaded ({error}); {_HOW}")
    if interface != INTERFACE:
        return Absent(
            f"the compiled library has interface {interface}, {INTERFACE} is needed; {_HOW}"
        )
    supported = tuple(
        name for i, name in enumerate(_NUMBERED) if handle.lfads_supports(ctypes.c_int32(i))
    )
    return Library(
        handle,
        instruction_sets=tuple(name for name in supported if name in INSTRUCTION_SETS),
        emulated=tuple(name for name in supported if name in EMULATED),
    )
