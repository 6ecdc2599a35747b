"""The argument `observation` of the Python estimators: one family, or one for each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, SettingsError

__all__ = ["observation_argument", "with_observation"]

Observations = str | Sequence[str] | None


def observation_argument(observation: Observations) -> dict[str, object]:
    """The setting that one family for all units stands for; empty for anything else."""
    return {"loss.observation": observation} if isinstance(observation, str) else {}


def with_observation(
    recordings: Recording | tuple[Recording, ...], observation: Observations
) -> Recording | tuple[Recording, ...]:
    """The recording with a family for each unit, where the argument is such a list."""
    if observation is None or isinstance(observation, str):
        return recordings
    words = np.asarray(observation)
    if words.ndim != 1 or words.dtype.kind not in "UO":
        raise SettingsError(
            f"observation is {observation!r}; the name of a family is needed, such as 'gamma', or "
            "a list with one for each unit."
        )
    if not isinstance(recordings, Recording):
        raise SettingsError(
            "observation names families of single units, but X has several sessions, whose units "
            "differ. Give each as a Recording with an `observation` of its own."
        )
    if len(words) != recordings.n_units:
        raise DataError(
            f"observation has {len(words)} families; X has {recordings.n_units} units (its last "
            "axis). One family for each unit is needed, or a single name for all."
        )
    return replace(recordings, observation=words.astype(np.str_))
