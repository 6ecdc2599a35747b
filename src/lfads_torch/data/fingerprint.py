"""A fingerprint of what a recording says, whatever file it came from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import Recording

__all__ = ["fingerprint"]

FIELDS = (
    "trial_ids",
    "unit_ids",
    "condition",
    "external_inputs",
    "true_rates",
    "true_latents",
    "true_inputs",
    "observation",
    "n_trial_bins",
    "trial_inputs",
)


def fingerprint(recording: Recording) -> str:
    """sha256 (hexadecimal) over counts, bin width, start, ids, condition, inputs, behaviour, truth.

    The same values give the same fingerprint in any numeric type and any container. Session name,
    split, provenance and extra arrays do not count: they change nothing that a model sees.
    """
    digest = hashlib.sha256(b"lfads-torch recording 1")
    _add_scalars(digest, recording)
    _add_array(digest, "counts", recording.counts)
    for name in FIELDS:
        values = getattr(recording, name)
        if values is not None:
            _add_array(digest, name, values)
    for name in sorted(recording.behaviour):
        _add_array(digest, f"behaviour/{name}", recording.behaviour[name])
    return digest.hexdigest()


def _add_scalars(digest: Any, recording: Recording) -> None:  # hashlib's type has no public name
    scalars = np.array([recording.bin_width_s, recording.start_s], dtype="<f8")
    digest.update(scalars.tobytes())


def _add_array(digest: Any, name: str, values: NDArray[Any]) -> None:  # see `_add_scalars`
    kind = "text" if values.dtype.kind in "USO" else "number"
    digest.update(json.dumps([name, kind, list(values.shape)]).encode())
    if kind == "text":
        digest.update(json.dumps([str(value) for value in values.reshape(-1)]).encode())
        return
    for part in values:  # trial by trial: the copy in double precision stays small
        numbers = np.array(part, dtype="<f8", order="C")  # whole numbers up to 2**53 are exact
        numbers[np.isnan(numbers)] = np.nan  # one bit pattern for all NaN
        numbers += 0.0  # -0 becomes 0
        digest.update(numbers.tobytes())
