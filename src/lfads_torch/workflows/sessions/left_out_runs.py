"""The runs of one session that is left out: the others' model, the session added, one alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED
from lfads_torch.workflows.fit import FitOptions, fit_run, resume_run
from lfads_torch.workflows.sessions.add import AddOptions, add_session

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.left_out_file import LeftOut
    from lfads_torch.workflows.fit import Observer
    from lfads_torch.workflows.sessions.leave_out import LeaveOutRequest, Watching

__all__ = ["finished_updates", "settings_alone", "train_left_out"]

Train = Callable[[FitOptions, "Observer"], RunFolder]


def train_left_out(request: LeaveOutRequest, each: LeftOut, watching: Watching) -> str | None:
    """Train every run of a session that is not there yet, and write its rates.

    None, or which signal ended it.
    """
    names = [recording.session for recording in request.recordings]
    own = names.index(each.session)
    others = [n for n in range(len(names)) if n != own]
    recording = request.recordings[own]
    folders = {kind: request.folder / place for kind, place in each.runs.items()}

    def without(options: FitOptions, observer: Observer) -> RunFolder:
        given = [request.recordings[n] for n in others]
        settings, folder = request.settings, folders["without"]
        return fit_run(given, settings, folder, options=options, observer=observer)

    def added(options: FitOptions, observer: Observer) -> RunFolder:
        asked = AddOptions(overrides=request.added_overrides, n_trials=request.n_trials)
        run = RunFolder.open(folders["without"])
        return add_session(
            run, recording, folders["added"], asked=asked, options=options, observer=observer
        )

    def alone(options: FitOptions, observer: Observer) -> RunFolder:
        settings, folder = settings_alone(folders["without"], recording), folders["alone"]
        return fit_run(recording, settings, folder, options=options, observer=observer)

    trained: dict[str, tuple[Train, list[int]]] = {
        "without": (without, others), "added": (added, [own]), "alone": (alone, [own]),
    }  # fmt: skip
    for kind, folder in folders.items():
        train, which = trained[kind]
        with watching(folder) as observer:
            stopped = _ensure(request, folder, which, train=train, observer=observer)
        if stopped is not None:
            return stopped
    return None


def settings_alone(without: Path, recording: Recording) -> Settings:
    """Those of the others' model, for as many updates on one session, which needs no read-in.

    What is counted in epochs is scaled, for an epoch of one session has fewer updates.
    """
    from lfads_torch.training.batches import n_batches
    from lfads_torch.workflows.stored import read_settings_of

    assert recording.split is not None  # it was looked at before anything began
    run = RunFolder.open(without)
    settings, last = read_settings_of(run), run.metrics.read()[-1]
    own = n_batches(len(recording.split.trials("train")), settings.training.batch_size)
    ratio = int(last["step"]) / (int(last["epoch"]) + 1) / own

    def scaled(epochs: int) -> int:
        return round(epochs * ratio)

    training, loss = settings.training, settings.loss
    if loss.ramp_unit == "epochs":
        loss = replace(
            loss,
            kl_ramp_start=scaled(loss.kl_ramp_start),
            kl_ramp_increase=scaled(loss.kl_ramp_increase),
            l2_ramp_start=scaled(loss.l2_ramp_start),
            l2_ramp_increase=scaled(loss.l2_ramp_increase),
        )
    training = replace(
        training,
        epochs=max(1, round(int(last["step"]) / own)),
        patience=scaled(training.patience),
        plateau_patience=max(1, scaled(training.plateau_patience)),
    )
    sessions = replace(settings.sessions, readin_size=0)
    return replace(settings, training=training, loss=loss, sessions=sessions)


def finished_updates(request: LeaveOutRequest, each: LeftOut) -> dict[str, int]:
    """Updates of each of a session's runs."""
    rows = {
        kind: RunFolder.open(request.folder / place).metrics.read()
        for kind, place in each.runs.items()
    }
    return {kind: int(found[-1]["step"]) for kind, found in rows.items()}


def _ensure(
    request: LeaveOutRequest, folder: Path, which: list[int], *, train: Train, observer: Observer
) -> str | None:
    """Train into the folder, or go on, or leave it as it is; then its rates. None: it is done."""
    paths = tuple(request.paths[n] for n in which) if request.paths else ()
    options = FitOptions(
        data_path=paths[0] if len(paths) == 1 else None,
        session_paths=paths if len(paths) > 1 else (),
        read_options=request.read_options if paths else None,
        kernels=request.kernels,
        overwrite=request.overwrite or request.resume_if_exists,
        command=request.command,
    )
    run = _found(folder, observer) if request.resume_if_exists else None
    run = run or train(options, observer)
    record = run.read_record()
    if record.status != FINISHED:
        return record.reason or record.status
    _write_rates(run, [request.recordings[n] for n in which])
    return None


def _found(folder: Path, observer: Observer) -> RunFolder | None:
    """The run that is there, to its end; None where there is nothing to go on with."""
    if not RunFolder.is_run(folder):
        return None
    run = RunFolder.open(folder)
    if run.read_record().status == FINISHED:
        observer.message(f"{folder} is finished; it stays as it is")
        return run
    return resume_run(folder, observer=observer) if run.can_resume else None


def _write_rates(run: RunFolder, recordings: list[Recording]) -> None:
    """Of every session: the read-out of the added one starts from the others' factors."""
    from lfads_torch.workflows.finish import write_rates
    from lfads_torch.workflows.sessions.folder import refresh_sessions

    with run.lock():
        for own, recording in zip(refresh_sessions(run), recordings, strict=True):
            if not own.rates_path.is_file():
                write_rates(own, recording)
