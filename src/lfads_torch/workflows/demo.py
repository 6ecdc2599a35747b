"""`lfads demo`: the whole path on a synthetic recording whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED
from lfads_torch.workflows.finish import finish_run
from lfads_torch.workflows.fit import FitOptions

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.fit import Observer

__all__ = ["NEEDED_R2", "DemoOutcome", "DemoRequest", "run_demo"]

NEEDED_R2 = 0.6
_COMMAND = ("lfads", "demo")
_SETTINGS = (
    # A search of minutes; a real one takes more members and generations.
    "search.population=6",
    "search.generations=5",
    "search.generation_epochs=10",
    # Products this small gain nothing from more threads, and lose much where others compute too.
    "run.threads=1",
)


@dataclass(frozen=True, kw_only=True)
class DemoRequest:
    """Where to, and which draw of the system and the weights."""

    folder: Path
    seed: int = 0
    overrides: tuple[str, ...] = ()  # section.key=value
    system: tuple[tuple[str, str], ...] = ()  # settings of the synthetic system, name and value


@dataclass(frozen=True, kw_only=True)
class DemoOutcome:
    """The run, and the R2 of its rates with the true ones; None where it was interrupted."""

    run: RunFolder
    valid_r2: float | None

    @property
    def follows_truth(self) -> bool:
        """Whether the demonstration has shown what it must."""
        return self.valid_r2 is not None and self.valid_r2 >= NEEDED_R2


def run_demo(request: DemoRequest, observer: Observer) -> DemoOutcome:
    """Synthesise, search, infer, evaluate, write the page.

    An earlier demonstration in the folder is replaced; anything else there is a RunError.
    """
    from lfads_torch.config.read import read_settings
    from lfads_torch.data.synthetic.choose import synthesise
    from lfads_torch.workflows.search import search_run

    _need_own_folder(request.folder)
    settings = read_settings(
        preset="demo", overrides=(f"run.seed={request.seed}", *_SETTINGS, *request.overrides)
    )
    recording = synthesise("demo", request.seed, **dict(request.system))
    observer.message(
        f"synthetic recording: {recording.n_trials} trials, {recording.n_bins} bins of "
        f"{1000 * recording.bin_width_s:g} ms, {recording.n_units} units"
    )
    options = FitOptions(
        overwrite=True, command=(*_COMMAND, "--seed", str(request.seed), *request.overrides)
    )
    run = search_run(recording, settings, request.folder, options=options, observer=observer)
    if run.read_record().status != FINISHED:
        return DemoOutcome(run=run, valid_r2=None)
    finish_run(run, recording=_with_split_of(run, recording), anew=True, observer=observer)
    return DemoOutcome(run=run, valid_r2=_valid_r2(run, recording))


def _need_own_folder(folder: Path) -> None:
    if not RunFolder.is_run(folder):
        return  # a new run refuses a folder that holds anything else
    command = RunFolder.open(folder).read_record().command
    if command[: len(_COMMAND)] != _COMMAND:
        raise RunError(
            f"{folder}: holds a run that is no demonstration (`{' '.join(command)}`), which would "
            "be lost. Choose another --out."
        )


def _with_split_of(run: RunFolder, recording: Recording) -> Recording:
    from lfads_torch.data.split_file import read_split

    return recording.with_split(read_split(run.split_path, recording))


def _valid_r2(run: RunFolder, recording: Recording) -> float:
    """Mean over units of the R2 of single-trial rates in the validation trials."""
    from lfads_torch.analysis.metrics.truth import true_rate_r2
    from lfads_torch.outputs.rates_file import open_rates

    assert recording.true_rates is not None  # every synthetic system knows them
    with open_rates(run.rates_path) as rates:
        rows = np.flatnonzero(rates["trial_set"].values.astype(str) == "valid")
        found = rates["rates"].isel(trial=rows).values
    first = recording.n_bins - found.shape[1]
    return true_rate_r2(found, recording.true_rates[rows, first:]).value
