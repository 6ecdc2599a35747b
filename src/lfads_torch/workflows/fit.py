"""Fit: check the data, resolve the settings, train, and leave a run folder that explains itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lfads_torch.errors import DataError, LfadsError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED, RunRecord, library_versions, machine_text

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.training.loop import EpochReport
    from lfads_torch.training.state import PopulationState
    from lfads_torch.workflows.assemble import Assembly

__all__ = [
    "FitOptions",
    "Observer",
    "Prepared",
    "Quiet",
    "fit_run",
    "prepare",
    "resume_run",
    "train_anew",
]


class Observer(Protocol):
    """Who watches a fit: the command line's live view, a log, or nobody."""

    def message(self, text: str) -> None: ...

    def epoch(self, report: EpochReport, settings: Settings) -> None: ...


class Quiet:
    """Watches nothing."""

    def message(self, text: str) -> None: ...

    def epoch(self, report: EpochReport, settings: Settings) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What belongs to one call and not to the model."""

    data_path: Path | None = None  # None: the recording is stored in the run folder
    read_options: ReadOptions | None = None  # how `data_path` was read
    kernels: str = "auto"
    overwrite: bool = False
    allow_different_numbers: bool = False
    command: tuple[str, ...] = ()
    refit: Mapping[str, Any] = field(default_factory=dict)  # goes into the record, JSON values
    warnings: tuple[str, ...] = ()  # likewise


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recording with its split, settings resolved for it, and what the check found."""

    recording: Recording
    settings: Settings
    check: Mapping[str, Any] | None  # content of check.json; None: none is stored


def fit_run(
    recording: Recording,
    settings: Settings,
    folder: Path,
    *,
    options: FitOptions = FitOptions(),
    observer: Observer | None = None,
) -> RunFolder:
    """Train on a recording and store everything but the rates (see `workflows.finish`).

    A recording without a split is divided by `settings.split`. Raises DataError or SettingsError
    before anything slow or written, RunError where the folder is taken.
    """
    watcher = observer or Quiet()
    prepared = prepare(recording, settings, watcher)
    return train_anew(prepared, folder, options=options, observer=watcher)


def train_anew(
    prepared: Prepared, folder: Path, *, options: FitOptions, observer: Observer
) -> RunFolder:
    """As `fit_run`, of a recording and settings that are checked and resolved already."""
    recording, settings = prepared.recording, prepared.settings
    run = RunFolder.create(
        folder, _record(recording, settings, options), overwrite=options.overwrite
    )
    with run.lock():
        _store_description(run, prepared, options)
        return _train(run, recording, settings, options, observer, state=None)


def resume_run(
    folder: Path,
    *,
    options: FitOptions = FitOptions(),
    observer: Observer | None = None,
) -> RunFolder:
    """Go on where a run was stopped; bit for bit as if it had not been, on the same machine.

    Raises RunError where the data changed, or where numbers would differ and
    `allow_different_numbers` is not given.
    """
    from lfads_torch.workflows.stored import read_recording_of, read_settings_of

    watcher = observer or Quiet()
    run = RunFolder.open(folder, needs=("settings.yaml", "split.json"))
    if run.read_record().status == FINISHED:
        watcher.message(f"{run.path} is finished; it stays as it is")
        return run
    settings = read_settings_of(run)
    recording = read_recording_of(run, options.data_path)
    options = replace(options, kernels=_kernels_of(run, options))
    _require_same_numbers(run, settings, options)
    with run.lock():
        run.set_status("running")
        return _train(run, recording, settings, options, watcher, state="stored")


def _kernels_of(run: RunFolder, options: FitOptions) -> str:
    """The backend that the run began with, unless another one is asked for."""
    return (run.read_record().backend or "auto") if options.kernels == "auto" else options.kernels


def prepare(recording: Recording, settings: Settings, observer: Observer) -> Prepared:
    """Split, resolve and check; what cannot work raises, what is unusual is said."""
    from lfads_torch.config.resolve import resolve
    from lfads_torch.config.rules import check_against_data
    from lfads_torch.config.sizes import sizes_of
    from lfads_torch.data.check.check import check_recording
    from lfads_torch.data.check.context import CheckRequirements
    from lfads_torch.data.check.report import errors_of
    from lfads_torch.data.splitting import split_recording
    from lfads_torch.workflows.check_file import plan_of

    if recording.split is None:
        recording = recording.with_split(split_recording(recording, settings.split))
    sizes = sizes_of(recording)
    resolution = resolve(settings, sizes)
    settings = resolution.settings
    needs = CheckRequirements(observation=settings.loss.observation, plan=plan_of(settings))
    report = check_recording(recording, needs)
    problems = errors_of(report)
    if problems:
        listed = "".join(f"\n  - {each.message} {each.remedy}" for each in problems)
        raise DataError(f"{recording.session}: this recording cannot be fitted:{listed}")
    unusual = [each for each in report.findings if each.severity == "warning"]
    said = [f"{each.message} {each.remedy}" for each in unusual]
    for text in (*resolution.notes, *check_against_data(settings, sizes), *said):
        observer.message(text)
    return Prepared(recording=recording, settings=settings, check=report.to_json())


def _record(recording: Recording, settings: Settings, options: FitOptions) -> RunRecord:
    from lfads_torch.config.scales import betas
    from lfads_torch.config.sizes import sizes_of
    from lfads_torch.data.fingerprint import fingerprint

    sizes = sizes_of(recording)
    beta = betas(settings, sizes)
    path = options.data_path
    return RunRecord(
        command=options.command or tuple(sys.argv),
        seed=settings.run.seed,
        n_members=settings.run.n_seeds,
        data_path=None if path is None else str(Path(path).resolve()),
        data_fingerprint=fingerprint(recording),
        read_options={} if options.read_options is None else asdict(options.read_options),
        refit=options.refit,
        warnings=options.warnings,
        sizes={name: int(value) for name, value in vars(sizes).items() if name != "present_share"},
        beta={"initial_condition": beta.initial_condition, "inputs": beta.inputs},
        grouping="one program for all members",
        versions=library_versions(),
        machine=machine_text(),
    )


def _store_description(run: RunFolder, prepared: Prepared, options: FitOptions) -> None:
    from lfads_torch.config.tree import to_yaml
    from lfads_torch.data.formats.ours import write_recording
    from lfads_torch.data.split_file import split_as_document
    from lfads_torch.workflows.model_card import card_of, write_card

    recording = prepared.recording
    run.write_settings(to_yaml(prepared.settings))
    if recording.split is not None:
        run.write_split(split_as_document(recording.split, recording))
    if prepared.check is not None:
        run.write_check(prepared.check)
    write_card(run, card_of(recording))
    if options.data_path is None:
        write_recording(recording, run.path / "recording.h5")


def _train(
    run: RunFolder,
    recording: Recording,
    settings: Settings,
    options: FitOptions,
    watcher: Observer,
    *,
    state: str | None,
) -> RunFolder:
    from lfads_torch.workflows.assemble import assemble
    from lfads_torch.workflows.device import choose_device, memory_errors

    try:
        with memory_errors():
            device = choose_device(settings.run)
            assembly = assemble(recording, settings, kernels=options.kernels, device=device)
            _record_numbers(run, assembly)
            _advance(run, assembly, settings, watcher, is_resumed=state is not None)
    except LfadsError as error:
        run.set_status("failed", reason=str(error))
        raise
    return run


def _advance(
    run: RunFolder, assembly: Assembly, settings: Settings, watcher: Observer, *, is_resumed: bool
) -> None:
    from lfads_torch.training.checkpoint import load_state
    from lfads_torch.training.loop import advance
    from lfads_torch.workflows.assemble import start_state
    from lfads_torch.workflows.interruption import Interruption

    task, path = assembly.task, run.last_checkpoint_path
    watcher.message(f"kernels: {task.kernels.name} ({task.kernels.reason})")
    if is_resumed and path.exists():
        state = load_state(path, task.layout, task.device)
        run.metrics.truncate_after(state.epoch - 1)
        watcher.message(f"resumed after epoch {state.epoch - 1}")
    else:
        # The refit of a member starts from that member's own initial weights.
        state = start_state(assembly, first_member=int(run.read_record().refit.get("member", 0)))
        run.metrics.truncate_after(-1)
    keeper = _Keeper(run, assembly, state, watcher)
    with Interruption(watcher.message) as interruption:
        advance(
            state,
            task,
            assembly.training_data(),
            seed=settings.run.seed,
            n_epochs=settings.training.epochs - state.epoch,
            observe=keeper.observe,
            wants_stop=lambda: interruption.is_wanted,
        )
        keeper.store()
    is_done = state.epoch >= settings.training.epochs or bool(state.clocks.is_stopped.all())
    if is_done:
        run.set_status("finished")
    else:
        run.set_status("interrupted", reason=interruption.signal_name)
        watcher.message(
            f"stored after epoch {state.epoch - 1}; go on with: lfads resume {run.path}"
        )


class _Keeper:
    """Writes metrics after every epoch and checkpoints from time to time."""

    def __init__(
        self, run: RunFolder, assembly: Assembly, state: PopulationState, watcher: Observer
    ) -> None:
        self._run, self._assembly, self._state, self._watcher = run, assembly, state, watcher
        self._stored_at = time.monotonic()

    def observe(self, report: EpochReport) -> None:
        if not self._assembly.has_validation:
            _keep_last(self._state)
        self._run.metrics.append(report.row())
        for text in report.messages:
            self._watcher.message(text)
        self._watcher.epoch(report, self._assembly.settings)
        interval = self._assembly.settings.training.checkpoint_interval_s
        if time.monotonic() - self._stored_at >= interval:
            self.store()

    def store(self) -> None:
        from lfads_torch.training.checkpoint import save_best, save_state

        layout, seed = self._assembly.task.layout, self._assembly.settings.run.seed
        save_state(self._run.last_checkpoint_path, self._state, layout, seed=seed)
        save_best(self._run.best_checkpoint_path, self._state, layout, seed=seed)
        self._stored_at = time.monotonic()


def _keep_last(state: PopulationState) -> None:
    """Make the last weights the best ones: scores of training trials choose nothing."""
    import torch

    clocks = state.clocks
    goes_on = ~clocks.is_stopped | (clocks.best_epoch < 0)
    state.best_weights = torch.where(goes_on[:, None], state.weights, state.best_weights)
    clocks.best_epoch = torch.where(goes_on, state.epoch - 1, clocks.best_epoch)
    clocks.best_score = torch.where(goes_on, clocks.smoothed, clocks.best_score)


def _record_numbers(run: RunFolder, assembly: Assembly) -> None:
    """Store what the numbers depend on beside seed and data."""
    import torch

    record = replace(
        run.read_record(),
        threads=torch.get_num_threads(),
        precision=str(assembly.task.dtype).removeprefix("torch."),
        device=str(assembly.task.device),
        backend=assembly.task.kernels.name,
        versions=library_versions(),
        machine=machine_text(),
    )
    run.write_record(record)


def _require_same_numbers(run: RunFolder, settings: Settings, options: FitOptions) -> None:
    """Refuse to resume where the rest would not be bitwise the same, unless allowed."""
    import torch

    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.workflows.device import choose_device

    record = run.read_record()
    if record.threads is None:
        return  # it never began to train
    device = choose_device(settings.run)
    if record.threads != torch.get_num_threads() and settings.run.threads == 0:
        torch.set_num_threads(record.threads)
    now = {
        "device": (record.device, str(device)),
        "threads": (record.threads, torch.get_num_threads()),
        "backend": (record.backend, choose_kernels(options.kernels).name),
        "torch": (record.versions.get("torch"), library_versions().get("torch")),
        "machine": (record.machine, machine_text()),
    }
    changed = {name: pair for name, pair in now.items() if pair[0] != pair[1]}
    if changed and not options.allow_different_numbers:
        listed = "; ".join(f"{name} was {old}, is {new}" for name, (old, new) in changed.items())
        raise RunError(
            f"{run.path}: going on here would not give bitwise the same numbers ({listed}). Resume "
            "where the run began, or add --allow-different-numbers."
        )
