"""Which backend runs the recurrences: one function decides; it can be forced, and is logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

    from lfads_torch.kernels.decoder.reference import DecoderOutput

__all__ = ["BACKENDS", "Kernels", "choose_kernels"]

BACKENDS = ("reference", "portable")


@dataclass(frozen=True)
class Kernels:
    """The two operations of one backend, and why this backend was chosen."""

    name: str
    reason: str
    gru_scan: Callable[..., Tensor]
    decoder_scan: Callable[..., DecoderOutput]


def choose_kernels(wanted: str = "auto") -> Kernels:
    """The backend asked for; `auto` takes the fastest that runs everywhere.

    Raises SettingsError for an unknown name.
    """
    if wanted == "reference":
        from lfads_torch.kernels.decoder import reference as decoder_reference
        from lfads_torch.kernels.gru import reference as gru_reference

        return Kernels(
            "reference", "forced", gru_reference.gru_scan, decoder_reference.decoder_scan
        )
    if wanted in ("auto", "portable"):
        from lfads_torch.kernels.decoder import portable as decoder_portable
        from lfads_torch.kernels.gru import portable as gru_portable

        reason = "forced" if wanted == "portable" else "the fastest backend in this version"
        return Kernels("portable", reason, gru_portable.gru_scan, decoder_portable.decoder_scan)
    raise SettingsError(
        f"kernels: {wanted!r} is not a backend; choose auto, {', '.join(BACKENDS)}."
    )
