"""What a run's numbers depend on beside seed, data and settings: stored, and compared on resume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lfads_torch.errors import RunError
from lfads_torch.outputs.run_record import library_versions, machine_text
from lfads_torch.training.arithmetic import ARITHMETIC

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.run_record import RunRecord
    from lfads_torch.training.task import Task
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.fit import FitOptions

__all__ = ["kernels_of", "record_numbers", "require_same_numbers"]


def kernels_of(run: RunFolder, settings: Settings, options: FitOptions) -> str:
    """The backend that the run began with, unless another one, precision or device is asked for."""
    from lfads_torch.kernels.choose import require_one_precision
    from lfads_torch.workflows.device import choose_device

    record = run.read_record()
    is_elsewhere = record.device != str(choose_device(settings.run))
    if options.kernels != "auto" or is_elsewhere or _is_in_another_precision(record, options):
        require_one_precision(
            options.kernels, settings.run.precision,
            remedy="Leave --kernels out, or add --precision with the same value.",
        )  # fmt: skip
        return options.kernels
    return record.backend or "auto"


def _is_in_another_precision(record: RunRecord, options: FitOptions) -> bool:
    wanted = "float32" if options.precision == "auto" else options.precision
    return wanted is not None and wanted != record.precision


def record_numbers(run: RunFolder, assembly: Assembly) -> None:
    """Store what the numbers depend on beside seed and data."""
    import torch

    record = replace(
        run.read_record(),
        threads=torch.get_num_threads(),
        precision=_precision_of(assembly.task),
        device=str(assembly.task.device),
        backend=assembly.task.kernels.name,
        arithmetic=ARITHMETIC,
        versions=library_versions(),
        machine=machine_text(),
    )
    run.write_record(record)


def _precision_of(task: Task) -> str:
    """The type of all numbers, or a lower precision of the operands of products."""
    import torch

    return "float64" if task.dtype == torch.float64 else task.kernels.precision


def require_same_numbers(
    run: RunFolder, settings: Settings, options: FitOptions, *, before: Settings
) -> tuple[str, ...]:
    """Refuse to resume where the rest would not be bitwise the same, unless allowed.

    What is to be said where a run's record does not tell all of it.
    """
    import torch

    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.workflows.device import choose_device, number_type
    from lfads_torch.workflows.plugin_record import changed_plugins, plugin_record

    record = run.read_record()
    if record.threads is None:
        return ()  # it never began to train
    device = choose_device(settings.run)
    if record.threads != torch.get_num_threads() and settings.run.threads == 0:
        torch.set_num_threads(record.threads)
    dtype = number_type(settings.run)
    kernels = choose_kernels(
        options.kernels, device=device, dtype=dtype, precision=settings.run.precision
    )
    arithmetic = ARITHMETIC if record.arithmetic is None else record.arithmetic
    now = {
        "device": (record.device, str(device)),
        "threads": (record.threads, torch.get_num_threads()),
        "backend": (record.backend, kernels.name),
        "arithmetic of lfads-torch": (arithmetic, ARITHMETIC),
        "torch": (record.versions.get("torch"), library_versions().get("torch")),
        "machine": (record.machine, machine_text()),
        "population": (before.search.population, settings.search.population),
        **{
            f"the file of {name}": ("another one", "changed")
            for name in changed_plugins(record.plugins, plugin_record(settings))
        },
    }
    changed = {name: pair for name, pair in now.items() if pair[0] != pair[1]}
    if changed and not options.allow_different_numbers:
        listed = "; ".join(f"{name} was {old}, is {new}" for name, (old, new) in changed.items())
        raise RunError(
            f"{run.path}: going on here would not give bitwise the same numbers ({listed}). Resume "
            "where the run began, or allow other numbers (--allow-different-numbers; "
            "FitOptions(allow_different_numbers=True) in Python)."
        )
    if record.arithmetic is None:
        return (
            f"{run.path}: was begun by a version that did not store the number of its arithmetic; "
            "whether the rest is bitwise as it would have been there is not known.",
        )
    return ()
