"""The read-out of a checkpoint: which observation model its parameters are for, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import FormatError
from lfads_torch.workflows.from_lfads_torch.configuration import Configuration
from lfads_torch.workflows.from_lfads_torch.mapped import Fate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint

__all__ = ["observation_fates", "observed_weights"]


def observation_fates(found: Checkpoint, configuration: Configuration) -> tuple[Fate, ...]:
    """Raises FormatError where the read-out's parameters mean something that ours cannot.

    Checkpoints do not name the observation model; without a configuration that does, it is
    Poisson, lfads-torch's usual one.
    """
    if any(name.startswith("recon.") and name.endswith(".scale") for name in found.tensors):
        raise FormatError(
            f"{found.path}: its observation is a zero-inflated Gamma whose shape and rate are "
            "s * max(sigmoid(w f + b), 1e-5), with a learned scale s per unit (recon.0.scale), so "
            "that both are bounded by it. Here mean and shape are exp(w f + b), unbounded: no "
            "weights of ours are the same function of the factors f, and the rates would differ. "
            "Fit anew with loss.observation=zero_inflated_gamma: `lfads import` its YAML "
            "configuration for the settings."
        )
    model = configuration.values.get("model")
    if isinstance(model, Mapping) and "reconstruction" in model:
        return ()
    note = "the checkpoint does not name its observation; give the model's YAML where it is another"
    return (Fate("model.reconstruction", "not stored", {"loss.observation": "poisson"}, note),)


def observed_weights(
    values: Mapping[str, NDArray[np.float32]], recording: Recording, family: str
) -> dict[str, NDArray[np.float32]]:
    """With the columns of the session's read-out in the recording's order of units.

    There the encoded units stand before the held-out ones, in the parameters as in the data. A
    Gamma has the logarithms of shape and rate there, of mean (shape / rate) and shape here.
    """
    seen = np.ones(recording.n_units, dtype=bool)
    if recording.split is not None:
        seen = np.asarray(recording.split.is_encoded)
    order = np.concatenate([np.flatnonzero(seen), np.flatnonzero(~seen)])
    changed = dict(values)
    for part in ("weight", "bias"):
        name = f"readout.{recording.session}.{part}"
        given = values[name].reshape(*values[name].shape[:-1], -1, recording.n_units)
        if family == "gamma":
            log_shape, log_rate = given[..., 0, :], given[..., 1, :]
            given = np.stack([log_shape - log_rate, log_shape], -2)
        ours = np.empty_like(given)
        ours[..., order] = given
        changed[name] = ours.reshape(values[name].shape)
    return changed
