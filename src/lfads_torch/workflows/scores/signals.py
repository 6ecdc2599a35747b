"""Posterior averages of some trials: read from a rates file that fits, or inferred anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import LfadsError
from lfads_torch.workflows.scores.trials import Signals

if TYPE_CHECKING:
    import xarray

    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.ensemble import EnsembleAverages
    from lfads_torch.workflows.stored import TrainedModel

__all__ = [
    "expected_counts_from_visible",
    "inferred_signals",
    "mean_counts",
    "misfit",
    "stored_signals",
]


def misfit(path: Path, models: Sequence[TrainedModel], recording: Recording) -> str | None:
    """Why a rates file does not hold these models' rates of this recording; None if it does.

    Run, members, samples, ids of trials and units, and bins must agree; the file must also be no
    older than the weights. Counts are not in the file, so equal ids are taken for equal trials.
    """
    from lfads_torch.outputs.rates_file import open_rates

    if not path.is_file():
        return "there is no such file"
    weights = models[0].run_path / "checkpoints" / "best.safetensors"
    if path.stat().st_mtime < weights.stat().st_mtime:
        return "it is older than the run's weights"
    try:
        with open_rates(path) as rates:
            return _disagreement(rates, models, recording)
    except LfadsError as error:
        return str(error)


def _disagreement(
    rates: xarray.Dataset, models: Sequence[TrainedModel], recording: Recording
) -> str | None:
    from lfads_torch.workflows.infer import n_posterior_samples

    model = models[0]
    averaged = np.atleast_1d(rates.attrs.get("ensemble_members", model.member))
    wanted: dict[str, tuple[Any, Any]] = {  # what is compared may be of any type
        "run": (rates.attrs.get("run"), model.run_path.name),
        "member": (rates.attrs.get("member"), model.member),
        "ensemble": (averaged.tolist(), [each.member for each in models]),
        "number of posterior samples": (
            rates.attrs.get("n_posterior_samples"), n_posterior_samples(model.settings),
        ),
        "number of bins": (
            rates.sizes["time"], model.card.n_bins - model.settings.model.first_generated_bin,
        ),
        # The file has the user's own order of units.
        "set of units": (set(rates["unit_id"].values.tolist()), set(model.card.unit_ids)),
        "trial ids": (rates["trial_id"].values.tolist(), recording.trial_ids.tolist()),
    }  # fmt: skip
    for name, (found, needed) in wanted.items():
        if found != needed:
            return f"its {name} is not the one that is evaluated"
    return None


def stored_signals(path: Path, positions: NDArray[np.int64], model: TrainedModel) -> Signals:
    """The trials at these positions of a rates file that fits, units in the model's order."""
    import h5py

    # Four of the file's arrays: xarray would first look at every one, which takes longer.
    with h5py.File(path) as file:
        ids = file["unit_id"]
        is_text = h5py.check_string_dtype(ids.dtype) is not None
        place = {unit: n for n, unit in enumerate((ids.asstr() if is_text else ids)[()].tolist())}
        units = np.array([place[unit] for unit in model.card.unit_ids])
        rows, places = np.unique(positions, return_inverse=True)

        def take(name: str) -> NDArray[np.float32] | None:
            return np.asarray(file[name][rows][places]) if name in file else None

        rates, std = np.asarray(take("rates")), take("rate_posterior_std")
        return Signals(
            rates=rates[..., units],
            rate_posterior_std=None if std is None else std[..., units],
            factors=np.asarray(take("factors")),
            input_mean=take("inferred_input_mean"),
        )


def inferred_signals(models: Sequence[TrainedModel], positions: NDArray[np.int64]) -> Signals:
    """Posterior averages of the trials at these positions; the same numbers as in a rates file.

    Rates are the mean over models, everything else is of the first one.
    """
    from lfads_torch.workflows.families import counts_to_rates
    from lfads_torch.workflows.infer import n_posterior_samples

    model, found = models[0], _averages(models, positions, None)
    parts = [each.best for each in found]
    factor = counts_to_rates(model, model.card.bin_width_s)
    stds = [_scaled(part.mean_counts_std, factor) for part in parts]
    inputs = [_array(part.input_mean) for part in parts if part.input_mean is not None]
    has_std = n_posterior_samples(model.settings) > 1
    return Signals(
        rates=np.concatenate([_scaled(each.mean_counts, factor) for each in found]),
        rate_posterior_std=np.concatenate(stds) if has_std else None,
        factors=np.concatenate([_array(part.factors) for part in parts]),
        input_mean=np.concatenate(inputs) if inputs else None,
    )


def expected_counts_from_visible(
    model: TrainedModel, positions: NDArray[np.int64], is_visible: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The mean per bin [B, T, N] given only the visible entries [B, E, N] of the encoded bins."""
    parts = _averages((model,), positions, is_visible)
    return np.concatenate([_array(part.mean_counts) for part in parts]).astype(np.float64)


def mean_counts(model: TrainedModel, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """The model's posterior mean per bin, [B, T, N], of the trials at these positions."""
    parts = _averages((model,), positions, None)
    return np.concatenate([_array(part.mean_counts) for part in parts])


def _averages(
    models: Sequence[TrainedModel],
    positions: NDArray[np.int64],
    is_visible: NDArray[np.bool_] | None,
) -> list[EnsembleAverages]:
    import torch

    from lfads_torch.workflows.device import memory_errors
    from lfads_torch.workflows.ensemble import ensemble_averages
    from lfads_torch.workflows.infer import posterior_options

    model = models[0]
    task = model.assembly.task
    trials = model.assembly.trials.take(torch.as_tensor(positions, device=task.device))
    visible = None if is_visible is None else torch.as_tensor(is_visible, device=task.device)
    with memory_errors():
        options = posterior_options(model)
        return list(ensemble_averages(models, trials, options, is_visible=visible))


def _scaled(value: Any, factor: NDArray[np.float64]) -> NDArray[np.float32]:  # see `_array`
    """Values [B, T, N] times each unit's factor, as `lfads infer` writes them."""
    return _array(value * value.new_tensor(factor.tolist()))


def _array(value: Any) -> NDArray[np.float32]:  # a tensor; torch is not imported here
    return np.asarray(value.float().cpu().numpy())
