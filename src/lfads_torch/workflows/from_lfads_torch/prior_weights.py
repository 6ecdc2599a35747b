"""What a checkpoint of lfads-torch learned of its priors: weights of ours and settings.

Rates from posterior means do not depend on any of it; divergences and further training do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.workflows.from_lfads_torch.mapped import Fate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.config.tree import SettingValue
    from lfads_torch.workflows.from_lfads_torch.checkpoint import Checkpoint

__all__ = ["prior_fates", "prior_weights"]


def prior_weights(found: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """Those that the state has, under our names; a prior without weights has none."""
    theirs = {
        "ic_prior.mean": "initial_condition_prior.mean",
        "co_prior.logtaus": "input_prior.log_time_constant",
        "co_prior.lognvars": "input_prior.log_variance",
    }
    values = {ours: found.numbers(name) for name, ours in theirs.items()}
    return {name: np.atleast_1d(value) for name, value in values.items() if value is not None}


def prior_fates(found: Checkpoint) -> tuple[Fate, ...]:
    """Settings that follow from the priors' own tensors, where the options do not tell them."""
    return (*_initial_condition(found), *_inputs(found))


def _initial_condition(found: Checkpoint) -> tuple[Fate, ...]:
    log_variance = found.numbers("ic_prior.logvar")
    if log_variance is None or log_variance.size == 0:
        return ()
    variance = float(f"{float(np.exp(log_variance.mean())):.6g}")
    spread = float(np.ptp(log_variance))
    note = "" if spread < 1e-4 else "its variances differ between dimensions: their mean is taken"
    settings: Mapping[str, SettingValue] = {"model.initial_condition_prior_variance": variance}
    return (Fate("state ic_prior.logvar", f"exp {variance:g}", settings, note),)


def _inputs(found: Checkpoint) -> tuple[Fate, ...]:
    log_time_constant = found.numbers("co_prior.logtaus")
    if log_time_constant is None or log_time_constant.size == 0:
        return ()
    settings: Mapping[str, SettingValue] = {"model.input_prior": "autoregressive"}
    return (Fate("state co_prior.logtaus", "AR(1)", settings),)
