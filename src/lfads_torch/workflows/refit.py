"""Refit: a run's chosen settings, trained on all its trials for as long as its best epoch took.

No trial is left to choose an epoch with, so none is chosen: the last one is kept. Only test trials
that were left out can say how well the refitted model does on new trials; without them, the figures
to quote are those of the run that it refits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.data.recording import TEST, TRAIN, VALID
from lfads_torch.errors import DataError, RunError
from lfads_torch.workflows.fit import FitOptions, Observer, Prepared, Quiet, train_anew

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["BestEpoch", "best_epoch_of", "refit_run"]


def refit_run(
    run: RunFolder,
    folder: Path,
    *,
    include_test: bool = False,
    options: FitOptions | None = None,
    observer: Observer | None = None,
) -> RunFolder:
    """Train the run's best member anew on training and validation trials (and test if asked).

    As many epochs as up to its best one, without early stopping; settings, seed and initial
    weights are those of that member. The score on record is then of training trials, and chooses
    nothing. `options.data_path` says where the recording is now. Raises RunError where the run is
    not finished or no epoch of it counted as best.
    """
    from lfads_torch.workflows.sessions.folder import (
        read_recordings_of,
        require_whole_run,
        session_runs,
    )
    from lfads_torch.workflows.stored import read_settings_of
    from lfads_torch.workflows.warm_start import same_start

    require_whole_run(run)
    run.require("settings.yaml", "checkpoints/best.safetensors")
    asked, watcher = options or FitOptions(), observer or Quiet()
    one = () if asked.data_path is None else (asked.data_path,)
    recordings, record = read_recordings_of(run, asked.session_paths or one), run.read_record()
    best = best_epoch_of(run)
    warning = _warning(run, recordings, best, include_test=include_test)
    watcher.message(warning)
    if record.search:
        watcher.message(
            "The hyperparameters are those that the search's best model had at its best epoch, "
            "held from the start: the changes on the way to them are not repeated."
        )
    prepared = Prepared(
        recordings=tuple(_joined(each, run, include_test=include_test) for each in recordings),
        settings=_settings(read_settings_of(run), best, record.search),
        checks=tuple(
            each.read_check() if each.check_path.is_file() else None for each in session_runs(run)
        ),
    )
    return train_anew(
        prepared,
        folder,
        options=replace(
            _where_data_are(run, asked),
            refit=_on_record(run, best, include_test=include_test),
            warnings=(warning,),
            start_from=same_start(run),
        ),
        observer=watcher,
    )


def _on_record(run: RunFolder, best: BestEpoch, *, include_test: bool) -> dict[str, object]:
    """What the new run's record says of where it comes from."""
    return {
        "run": run.path.name,
        "member": best.member,
        "epochs": best.epoch + 1,
        "include_test": include_test,
        "validation": "none: every trial in use trains, and the last epoch is kept",
        "score": "of training trials; it chose nothing",
    }


@dataclass(frozen=True)
class BestEpoch:
    """The member with the lowest smoothed validation score, and the epoch of it, from 0."""

    member: int
    epoch: int


def best_epoch_of(run: RunFolder) -> BestEpoch:
    """Of a finished run with a validation set. Raises RunError where nothing was chosen."""
    import torch

    from lfads_torch.training.checkpoint import read_clock, read_members
    from lfads_torch.workflows.kept_models import kept_models

    record = run.read_record()
    if record.refit:
        raise RunError(
            f"{run.path}: is a refit itself, so no epoch of it was chosen. Refit the run that it "
            f"came from, {record.refit.get('run')}."
        )
    if record.added_to:
        raise RunError(
            f"{run.path}: is a session added to {record.added_to.get('run')}, of which only its "
            "read-in and read-out were trained. A refit would train the whole model: add the "
            "session again with `lfads add-session`, with a smaller --valid-fraction."
        )
    if record.status != "finished":
        raise RunError(
            f"{run.path}: the run is {record.status}, so its best epoch is not certain yet. Go on "
            f"with `lfads resume {run.path}` first."
        )
    path, cpu, member = run.best_checkpoint_path, torch.device("cpu"), kept_models(run)[0].member
    position = read_members(path, cpu).index(member)
    epoch = int(read_clock(path, "best_epoch", cpu)[position])
    if epoch < 0:
        raise RunError(
            f"{run.path}: no epoch counted as best, for the ramps were not over when training "
            "ended. Fit with more epochs (training.epochs) or shorter ramps before refitting."
        )
    return BestEpoch(member, epoch)


def _where_data_are(run: RunFolder, asked: FitOptions) -> FitOptions:
    """As asked, with the paths and the way of reading of the run where nothing else is said."""
    from lfads_torch.workflows.sessions.folder import session_runs
    from lfads_torch.workflows.stored import read_options_of

    each = session_runs(run)
    known = [one.read_record().data_path for one in each]
    is_file = None not in known
    paths = tuple(Path(path) for path in known if path is not None) if is_file else ()
    if len(each) > 1:
        paths = asked.session_paths or paths
        options = read_options_of(run) if paths else None
        return replace(asked, data_path=None, session_paths=paths, read_options=options)
    path = asked.data_path or next(iter((*asked.session_paths, *paths)), None)
    options = None if path is None else read_options_of(run)
    return replace(asked, data_path=path, session_paths=(), read_options=options)


def _settings(settings: Settings, best: BestEpoch, search: Mapping[str, Any]) -> Settings:
    """For one member; of a search, with the values that its best model had at its best epoch."""
    from lfads_torch.workflows.searched_values import values_of_best

    training = replace(settings.training, epochs=best.epoch + 1, patience=0)
    settings = replace(settings, training=training, run=replace(settings.run, n_seeds=1))
    return values_of_best(settings, search)


def _joined(recording: Recording, run: RunFolder, *, include_test: bool) -> Recording:
    """The recording with its validation trials (and test trials) among the training ones."""
    split = recording.split
    if split is None:
        raise DataError(f"{recording.session}: the recording carries no split; split it first.")
    joining = [VALID, TEST] if include_test else [VALID]
    trial_set = np.where(np.isin(split.trial_set, joining), TRAIN, split.trial_set)
    provenance = {**split.provenance, "refit_of": run.path.name, "joined_to_train": joining}
    return recording.with_split(replace(split, trial_set=trial_set, provenance=provenance))


def _warning(
    run: RunFolder, recordings: Sequence[Recording], best: BestEpoch, *, include_test: bool
) -> str:
    n_test = sum(len(each.split.trials(TEST)) for each in recordings if each.split is not None)
    if n_test and not include_test:
        left = f"its {n_test} test trials, which it has not seen, can still judge it"
    else:
        left = f"the scores to quote are those of {run.path.name}"
    return (
        f"Refit of {run.path.name} (member {best.member}) for {best.epoch + 1} epochs: there is no "
        "validation set. Every other trial trains, the last epoch is kept, and the score on record "
        f"is of training trials and chose nothing; {left}."
    )
