"""LFADS with the conventions of scikit-learn: one model, or restarts of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.workflows.estimator_observation import observation_argument
from lfads_torch.workflows.estimator_settings import arguments_of, settings_from
from lfads_torch.workflows.fit import FitOptions, fit_run
from lfads_torch.workflows.run_estimator import RunEstimator

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.listener import Listener

__all__ = ["LFADS"]

# Settings that are arguments of their own, by the last part of their names.
_ARGUMENTS = (
    "run.preset", "run.seed", "run.n_seeds", "run.device", "run.threads", "run.precision",
)  # fmt: skip


class LFADS(RunEstimator):
    """Single-trial rates, factors and inferred inputs from counts [trial, bin, unit].

    `X` is anything NumPy makes an array of (NaN: missing), an xarray.DataArray whose dimensions
    are named trial, time and unit, or a `Recording`. The trials of `X` are the samples; some of
    them (`split.valid_fraction`, a fifth) choose the best epoch and do not train.

    Parameters
    ----------
    bin_width_s : width of a bin in seconds; here or in `fit`, unless X is a Recording.
    preset : sizes and weights to start from: auto (by trials and units), small, medium, large.
    observation : family of the counts, such as "gamma" (docs/observations.md), or a list with that
        of every unit; None: as the settings or the recording say, else poisson.
    settings : values by dotted name, such as {"model.n_factors": 8, "training.epochs": 200};
        every one is on the page of settings. They win over the preset.
    seed : seed of everything random but the split (`split.seed`).
    n_seeds : restarts trained together; `transform` uses the best on the validation trials.
    device, threads : auto, cpu or cuda; threads of the processor while it works (0: as they are).
    precision : auto, float32, float64 or bf16, the last for products of the recurrences alone
        (on a GPU also of the read-out).
    run_folder : where the run is kept; None: a temporary folder that goes with the estimator.
    verbose : print what the fit decides, and a line for every epoch.

    After `fit`
    -----------
    n_features_in_ : units. bin_width_s_ : s. settings_ : every setting as it was used, by dotted
    name. messages_ : what was adapted, warned of or decided. run_folder_ : where the run lies.

    Example: `LFADS().fit(counts, bin_width_s=0.005).transform(counts)`.
    """

    is_search = False

    # Eleven arguments, for scikit-learn's get_params and clone know of nothing else; they are only
    # stored here and travel on as records.
    def __init__(
        self,
        *,
        bin_width_s: float | None = None,
        preset: str = "auto",
        observation: str | Sequence[str] | None = None,
        settings: Mapping[str, object] | None = None,
        seed: int = 0,
        n_seeds: int = 1,
        device: str = "auto",
        threads: int = 0,
        precision: str = "auto",
        run_folder: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self.bin_width_s = bin_width_s
        self.preset = preset
        self.observation = observation
        self.settings = settings
        self.seed = seed
        self.n_seeds = n_seeds
        self.device = device
        self.threads = threads
        self.precision = precision
        self.run_folder = run_folder
        self.verbose = verbose

    def _settings(self) -> Settings:
        given = {name: getattr(self, name.rpartition(".")[2]) for name in _ARGUMENTS}
        given |= observation_argument(self.observation)
        return settings_from("LFADS", given, self.settings)

    def _train(
        self,
        recordings: Recording | tuple[Recording, ...],
        settings: Settings,
        folder: Path,
        *,
        options: FitOptions,
        listener: Listener,
    ) -> RunFolder:
        return fit_run(recordings, settings, folder, options=options, observer=listener)

    @classmethod
    def _arguments_of(cls, run: RunFolder) -> dict[str, Any]:  # arguments of several types
        from lfads_torch.workflows.stored import read_settings_of

        arguments, values = arguments_of(read_settings_of(run), _ARGUMENTS)
        return {**arguments, "settings": values}
