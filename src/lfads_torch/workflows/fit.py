"""Fit: check the data, resolve the settings, train, and leave a run folder that explains itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lfads_torch.errors import DataError, DivergenceError, KernelError, LfadsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED

if TYPE_CHECKING:
    from torch import Tensor

    from lfads_torch.config.sizes import DataSizes
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.check.report import CheckReport
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording
    from lfads_torch.search.history import GenerationReport
    from lfads_torch.training.loop import EpochReport
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.warm_start import WarmStart

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
    session_paths: tuple[Path, ...] = ()  # instead, of several sessions, in their order
    read_options: ReadOptions | None = None  # how `data_path` was read
    kernels: str = "auto"
    overwrite: bool = False
    allow_different_numbers: bool = False
    device: str | None = None  # to resume on; None: where the settings say
    precision: str | None = None  # to resume in; None: as the settings say
    population: int | None = None  # members of a search to resume with; None: as many as it had
    command: tuple[str, ...] = ()
    refit: Mapping[str, Any] = field(default_factory=dict)  # goes into the record, JSON values
    search: Mapping[str, Any] = field(default_factory=dict)  # likewise
    added_to: Mapping[str, Any] = field(default_factory=dict)  # likewise
    starts: Mapping[str, Tensor] = field(default_factory=dict)  # weights to begin with, stored
    imported: Mapping[str, Any] = field(default_factory=dict)  # likewise
    start_from: WarmStart | None = None  # a trained run; None: weights start as always
    texts: Mapping[str, str] = field(default_factory=dict)  # more files of the folder, by name
    warnings: tuple[str, ...] = ()  # likewise


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Recordings with their splits, settings resolved for them, and what the check found."""

    recordings: tuple[Recording, ...]
    settings: Settings
    checks: tuple[Mapping[str, Any] | None, ...]  # content of check.json; None: none is stored


def fit_run(
    recordings: Recording | Sequence[Recording],
    settings: Settings,
    folder: Path,
    *,
    options: FitOptions = FitOptions(),
    observer: Observer | None = None,
) -> RunFolder:
    """Train on recordings and store everything but the rates (see `workflows.finish`).

    Several recordings are sessions of one model. A recording without a split is divided by
    `settings.split`. Raises DataError or SettingsError before anything slow or written, RunError
    where the folder is taken.
    """
    watcher = observer or Quiet()
    prepared = prepare(recordings, settings, watcher)
    return train_anew(prepared, folder, options=options, observer=watcher)


def train_anew(
    prepared: Prepared, folder: Path, *, options: FitOptions, observer: Observer
) -> RunFolder:
    """As `fit_run`, of recordings and settings that are checked and resolved already."""
    from lfads_torch.workflows.description import record_of, store_description
    from lfads_torch.workflows.warm_numbers import numbers_along
    from lfads_torch.workflows.warm_start import read_start, start_record, store_start, told

    _require_kernels(prepared.settings, options)
    wanted, taken, start = options.start_from, None, {}
    if wanted is not None:
        taken = read_start(wanted, prepared.recordings, prepared.settings)
        settings, numbers = numbers_along(taken, wanted.parts, prepared.settings, options)
        prepared = replace(prepared, settings=settings)
        start = start_record(wanted, taken, numbers)
        observer.message(told(start))
    record = replace(record_of(prepared, options), warm_start=start)
    run = RunFolder.create(folder, record, overwrite=options.overwrite)
    with run.lock():
        store_description(run, prepared, options)
        if taken is not None:
            store_start(run, taken)
        return _train(
            run, prepared.recordings, prepared.settings, options, observer, is_resumed=False
        )


def _require_kernels(settings: Settings, options: FitOptions) -> None:
    """Refuse what cannot compute here before a folder is made."""
    from lfads_torch.kernels.choose import (
        choose_kernels,
        require_one_precision,
        with_own_generator,
    )
    from lfads_torch.model.parts import choose_parts
    from lfads_torch.workflows.device import choose_device, number_type

    device, dtype = choose_device(settings.run), number_type(settings.run)
    require_one_precision(options.kernels, settings.run.precision)
    kernels = choose_kernels(
        options.kernels, device=device, dtype=dtype, precision=settings.run.precision
    )
    if choose_parts(settings.model).generator is not None:
        with_own_generator(kernels, settings.model.generator)


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
    from lfads_torch.workflows.same_numbers import kernels_of, require_same_numbers
    from lfads_torch.workflows.sessions.folder import read_recordings_of, require_whole_run
    from lfads_torch.workflows.stored import read_settings_of

    watcher = observer or Quiet()
    run = RunFolder.open(folder, needs=("settings.yaml",))
    require_whole_run(run)
    if run.read_record().status == FINISHED:
        require_unchanged(run, options)
        watcher.message(f"{run.path} is finished; it stays as it is")
        return run
    stored = read_settings_of(run)
    settings = changed_settings(run, stored, options)
    one = () if options.data_path is None else (options.data_path,)
    recordings = read_recordings_of(run, options.session_paths or one)
    options = replace(options, kernels=kernels_of(run, settings, options))
    for text in require_same_numbers(run, settings, options, before=stored):
        watcher.message(text)
    with run.lock():
        if settings != stored:
            store_settings(run, settings)
        run.set_status("running")
        return _train(run, recordings, settings, options, watcher, is_resumed=True)


def prepare(
    recordings: Recording | Sequence[Recording],
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
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.sessions.sizes import (
        joint_sizes,
        require_one_model,
        with_readin_size,
    )

    given = (recordings,) if isinstance(recordings, Recording) else tuple(recordings)
    if not given:
        raise DataError("no recording is given; at least one is needed to train on.")
    require_one_model(given)
    given = tuple(_with_split(each, settings) for each in given)
    sizes = joint_sizes(given, settings)
    resolution = resolve(settings, sizes)
    settings = with_readin_size(adapt(resolution.settings, sizes), given)
    reports = [_checked(each, settings) for each in given]
    unusual = [
        (report, each) for report in reports for each in report.findings
        if each.severity == "warning"
    ]  # fmt: skip
    names = {id(report): each.session for report, each in zip(reports, given, strict=True)}
    several = len(given) > 1
    said = [
        (f"{names[id(report)]}: " if several else "") + f"{each.message} {each.remedy}"
        for report, each in unusual
    ]
    for text in (*resolution.notes, *check_against_data(settings, sizes), *said):
        observer.message(text)
    checks = tuple(report.to_json() for report in reports)
    _require_known_parts(given, settings)
    return Prepared(recordings=given, settings=settings, checks=checks)


def _require_known_parts(recordings: tuple[Recording, ...], settings: Settings) -> None:
    """Raise SettingsError where `training.train` or `training.freeze` names what is not there."""
    from lfads_torch.training.parts import require_something_to_train
    from lfads_torch.workflows.assemble import layout_of

    if settings.training.train or settings.training.freeze:
        names = [spec.name for spec in layout_of(recordings, settings).specs]
        require_something_to_train(settings.training, names)


def _with_split(recording: Recording, settings: Settings) -> Recording:
    from lfads_torch.data.splitting import split_recording

    if recording.split is not None:
        return recording
    return recording.with_split(split_recording(recording, settings.split))


def _checked(recording: Recording, settings: Settings) -> CheckReport:
    from lfads_torch.data.check.check import check_recording
    from lfads_torch.data.check.context import CheckRequirements
    from lfads_torch.data.check.report import errors_of
    from lfads_torch.workflows.check_file import plan_of
    from lfads_torch.workflows.families import check_families, families_of

    families = families_of(recording, settings.loss)
    needs = CheckRequirements(
        observation=settings.loss.observation, families=families, plan=plan_of(settings)
    )
    report = check_recording(recording, needs)
    problems = errors_of(report)
    if problems:
        listed = "".join(f"\n  - {each.message} {each.remedy}" for each in problems)
        raise DataError(f"{recording.session}: this recording cannot be fitted:{listed}")
    check_families(recording, settings)
    return report


def _train(
    run: RunFolder,
    recordings: tuple[Recording, ...],
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
    from lfads_torch.workflows.same_numbers import record_numbers
    from lfads_torch.workflows.sessions.begin import start_of

    try:
        with memory_errors():
            device = choose_device(settings.run)
            start = start_of(run, recordings, settings, watcher)
            assembly = assemble(
                recordings, settings, kernels=options.kernels, device=device, start=start
            )
            _check_kernels(run, assembly, watcher)
            record_numbers(run, assembly)
            train = train_search if run.read_record().search else train_fit
            train(run, assembly, watcher, is_resumed=is_resumed)
    except DivergenceError as error:
        told = f"{error}{_hint_of_plugins(run)}"
        run.set_status("failed", reason=told)
        raise DivergenceError(told) from error
    except LfadsError as error:
        run.set_status("failed", reason=str(error))
        raise
    except Exception as error:  # of a plug-in or a mistake of ours: the run must tell of it too
        from lfads_torch.plugin_fault import failure_reason

        with suppress(LfadsError):  # what went wrong first is what must be read
            run.set_status("failed", reason=failure_reason(error))
        raise
    return run


def _check_kernels(run: RunFolder, assembly: Assembly, watcher: Observer) -> None:
    """Say which kernels run, and hold them against the reference; KernelError where they differ."""
    import torch

    from lfads_torch.training.kernel_check import N_TRIALS, kernel_remedy, require_right_kernels

    task = assembly.task
    watcher.message(f"kernels: {task.kernels.name} ({task.kernels.reason})")
    try:
        told = require_right_kernels(
            task, assembly.first_trials("train", N_TRIALS), seed=assembly.settings.run.seed
        )
    except KernelError as error:
        has_begun = run.read_record().threads is not None
        changed = " --allow-different-numbers" if has_begun else ""
        raise KernelError(
            f"{error} `lfads resume {run.path} {kernel_remedy(task)}{changed}` goes on."
        ) from error
    for text in told:
        watcher.message(text)
    if task.device.type == "cuda":
        torch.cuda.empty_cache()  # what is free decides how many members train at once


def _hint_of_plugins(run: RunFolder) -> str:
    """Where numbers that are not finite may come from besides training; "" without plug-ins."""
    names = list(run.read_record().plugins)
    if not names:
        return ""
    return (
        f" The run has the plug-in{'s' if len(names) > 1 else ''} {', '.join(names)}: if it gives "
        "back NaN or infinity, no learning rate helps; the classes of lfads_torch.testing test it."
    )
