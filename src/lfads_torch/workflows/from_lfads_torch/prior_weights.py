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
        "co_prior.logvar": "input_prior.log_variance",
        "ic_prior.loc": "initial_condition_prior.location",
        "ic_prior.logscale": "initial_condition_prior.log_scale",
        "co_prior.logscale": "input_prior.log_scale",
    }
    values = ((ours, found.numbers(name)) for name, ours in theirs.items())
    return {name: np.atleast_1d(value) for name, value in values if value is not None}


def prior_fates(found: Checkpoint) -> tuple[Fate, ...]:
    """Settings that follow from the priors' own tensors: checkpoints do not name their classes."""
    kinds = {
        "ic_prior.mean": {
            "model.initial_condition_prior": "normal",
            "model.initial_condition_prior_scale": "fixed",
        },
        "ic_prior.loc": {
            "model.initial_condition_prior": "student_t",
            "model.initial_condition_prior_scale": "learned",
        },
        "co_prior.logtaus": {"model.input_prior": "autoregressive"},
        "co_prior.mean": {"model.input_prior": "normal"},
        "co_prior.loc": {"model.input_prior": "student_t"},
    }
    named = [
        Fate(f"state {name}", "is there", settings, _PRIOR_NOTES.get(name, ""))
        for name, settings in kinds.items()
        if name in found.tensors
    ]
    return (*named, *_initial_condition(found))


_PRIOR_NOTES = {
    "co_prior.mean": "its learned mean has no counterpart: 0 here",
    "co_prior.loc": "its learned location has no counterpart: 0 here",
}


def _initial_condition(found: Checkpoint) -> tuple[Fate, ...]:
    log_variance = found.numbers("ic_prior.logvar")
    if log_variance is None or log_variance.size == 0:
        return ()
    variance = float(f"{float(np.exp(log_variance.mean())):.6g}")
    spread = float(np.ptp(log_variance))
    note = "" if spread < 1e-4 else "its variances differ between dimensions: their mean is taken"
    settings: Mapping[str, SettingValue] = {"model.initial_condition_prior_variance": variance}
    return (Fate("state ic_prior.logvar", f"exp {variance:g}", settings, note),)
