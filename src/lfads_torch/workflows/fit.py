"""Fit: check the data, resolve the settings, train, and leave a run folder that explains itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lfads_torch.atomic import write_text
from lfads_torch.errors import DataError, LfadsError, RunError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED, RunRecord, library_versions, machine_text

if TYPE_CHECKING:
    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.search.history import GenerationReport
    from lfads_torch.training.loop import EpochReport
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
    """Who watches a fit or a search: the command line's live view, a log, or nobody."""

    def message(self, text: str) -> None: ...

    def epoch(self, report: EpochReport, settings: Settings) -> None: ...

    def generation(self, report: GenerationReport, settings: Settings) -> None: ...


class Quiet:
    """Watches nothing."""

    def message(self, text: str) -> None: ...

    def epoch(self, report: EpochReport, settings: Settings) -> None: ...

    def generation(self, report: GenerationReport, settings: Settings) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What belongs to one call and not to the model."""

    data_path: Path | None = None  # None: the recording is stored in the run folder
    read_options: ReadOptions | None = None  # how `data_path` was read
    kernels: str = "auto"
    overwrite: bool = False
    allow_different_numbers: bool = False
    device: str | None = None  # to resume on; None: where the settings say
    population: int | None = None  # members of a search to resume with; None: as many as it had
    command: tuple[str, ...] = ()
    refit: Mapping[str, Any] = field(default_factory=dict)  # goes into the record, JSON values
    search: Mapping[str, Any] = field(default_factory=dict)  # likewise
    texts: Mapping[str, str] = field(default_factory=dict)  # more files of the folder, by name
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
        return _train(run, recording, settings, options, observer, is_resumed=False)


def resume_run(
    folder: Path,
    *,
    options: FitOptions = FitOptions(),
    observer: Observer | None = None,
) -> RunFolder:
    """Go on where a run was stopped; bit for bit as if it had not been, on the same machine.

    Raises RunError where the data changed, where numbers would differ and
    `allow_different_numbers` is not given, and where the population cannot change.
    """
    from lfads_torch.workflows.resume_changes import (
        changed_settings,
        require_unchanged,
        store_settings,
    )
    from lfads_torch.workflows.stored import read_recording_of, read_settings_of

    watcher = observer or Quiet()
    run = RunFolder.open(folder, needs=("settings.yaml", "split.json"))
    if run.read_record().status == FINISHED:
        require_unchanged(run, options)
        watcher.message(f"{run.path} is finished; it stays as it is")
        return run
    stored = read_settings_of(run)
    settings = changed_settings(run, stored, options)
    recording = read_recording_of(run, options.data_path)
    options = replace(options, kernels=_kernels_of(run, settings, options))
    _require_same_numbers(run, settings, options, before=stored)
    with run.lock():
        if settings != stored:
            store_settings(run, settings)
        run.set_status("running")
        return _train(run, recording, settings, options, watcher, is_resumed=True)


def _kernels_of(run: RunFolder, settings: Settings, options: FitOptions) -> str:
    """The backend that the run began with, unless another one is asked for, or another device."""
    from lfads_torch.workflows.device import choose_device

    record = run.read_record()
    is_elsewhere = record.device != str(choose_device(settings.run))
    if options.kernels != "auto" or is_elsewhere:
        return options.kernels
    return record.backend or "auto"


def prepare(
    recording: Recording,
    settings: Settings,
    observer: Observer,
    *,
    adapt: Callable[[Settings, DataSizes], Settings] = lambda settings, sizes: settings,
) -> Prepared:
    """Split, resolve and check; what cannot work raises, what is unusual is said.

    `adapt` has the last word on the resolved settings.
    """
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
    settings = adapt(resolution.settings, sizes)
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
        search=options.search,
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
    for name, text in options.texts.items():
        write_text(run.path / name, text)
    if options.data_path is None:
        write_recording(recording, run.path / "recording.h5")


def _train(
    run: RunFolder,
    recording: Recording,
    settings: Settings,
    options: FitOptions,
    watcher: Observer,
    *,
    is_resumed: bool,
) -> RunFolder:
    from lfads_torch.workflows.advance_fit import train_fit
    from lfads_torch.workflows.advance_search import train_search
    from lfads_torch.workflows.assemble import assemble
    from lfads_torch.workflows.device import choose_device, memory_errors

    try:
        with memory_errors():
            device = choose_device(settings.run)
            assembly = assemble(recording, settings, kernels=options.kernels, device=device)
            _record_numbers(run, assembly)
            train = train_search if run.read_record().search else train_fit
            train(run, assembly, watcher, is_resumed=is_resumed)
    except LfadsError as error:
        run.set_status("failed", reason=str(error))
        raise
    return run


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


def _require_same_numbers(
    run: RunFolder, settings: Settings, options: FitOptions, *, before: Settings
) -> None:
    """Refuse to resume where the rest would not be bitwise the same, unless allowed."""
    import torch

    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.workflows.device import choose_device, number_type

    record = run.read_record()
    if record.threads is None:
        return  # it never began to train
    device = choose_device(settings.run)
    if record.threads != torch.get_num_threads() and settings.run.threads == 0:
        torch.set_num_threads(record.threads)
    dtype = number_type(settings.run)
    kernels = choose_kernels(options.kernels, device=device, dtype=dtype)
    now = {
        "device": (record.device, str(device)),
        "threads": (record.threads, torch.get_num_threads()),
        "backend": (record.backend, kernels.name),
        "torch": (record.versions.get("torch"), library_versions().get("torch")),
        "machine": (record.machine, machine_text()),
        "population": (before.search.population, settings.search.population),
    }
    changed = {name: pair for name, pair in now.items() if pair[0] != pair[1]}
    if changed and not options.allow_different_numbers:
        listed = "; ".join(f"{name} was {old}, is {new}" for name, (old, new) in changed.items())
        raise RunError(
            f"{run.path}: going on here would not give bitwise the same numbers ({listed}). Resume "
            "where the run began, or add --allow-different-numbers."
        )
