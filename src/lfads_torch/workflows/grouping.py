"""How many members train at once: all, unless memory is short; the others wait for their turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.data.check.estimate import DataSizes
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.fit import Observer

__all__ = ["members_at_once"]

_USABLE_SHARE = 0.6  # of free memory: the estimate is right within a factor, and others live here


def members_at_once(run: RunFolder, assembly: Assembly, watcher: Observer) -> int:
    """Members of a group; the one on record where the run has been trained before.

    Results are the same for every grouping up to rounding, and the record keeps the bits the same.
    """
    record = run.read_record()
    if isinstance(record.grouping, int):
        return record.grouping
    n_members = assembly.settings.run.n_seeds
    n_at_once = assembly.settings.run.members_at_once or _as_memory_allows(assembly)
    n_at_once = min(n_at_once, n_members)
    run.write_record(replace(record, grouping=n_at_once))
    if n_at_once < n_members:
        watcher.message(f"{n_members} members train in turn, {n_at_once} at once")
    return n_at_once


def _as_memory_allows(assembly: Assembly) -> int:
    """As many as fit, by the estimate of `lfads check`; all where free memory is not known.

    One at least: a member cannot be divided.
    """
    from lfads_torch.data.check.estimate import estimate_fit
    from lfads_torch.workflows.check_file import plan_of

    n_members = assembly.settings.run.n_seeds
    plan = replace(plan_of(assembly.settings), flops_per_s=1.0)
    sizes = _sizes(assembly)
    one, two = (estimate_fit(replace(plan, n_members=n), sizes) for n in (1, 2))
    usable = _usable_bytes(assembly, one.available_bytes)
    if usable is None:
        return n_members
    each = max(two.memory_bytes - one.memory_bytes, 1.0)
    shared = max(one.memory_bytes - each, 0.0)
    return max(1, min(n_members, int((usable - shared) // each)))


def _usable_bytes(assembly: Assembly, available: int | None) -> float | None:
    """What was asked for (`run.memory_gb`), or a share of what is free."""
    asked = assembly.settings.run.memory_gb
    if asked:
        return asked * 1e9
    free = _free_bytes(assembly) or available
    return None if free is None else _USABLE_SHARE * free


def _sizes(assembly: Assembly) -> DataSizes:
    from lfads_torch.data.check.estimate import DataSizes

    sizes, data = assembly.task.sizes, assembly.data_sizes
    session = max(sizes.sessions, key=lambda each: each.n_units)
    return DataSizes(
        n_trials=assembly.n_trials,
        n_train=data.n_trials_train,
        n_valid=data.n_trials_valid,
        n_bins=sizes.n_bins,
        n_encoded_bins=sizes.n_encoded_bins,
        n_units=session.n_units,
        n_encoded_units=len(session.encoded_units),
        n_external_inputs=sizes.n_external_inputs,
    )


def _free_bytes(assembly: Assembly) -> int | None:
    """Of the accelerator; None for the processor, whose memory the estimate knows."""
    import torch

    if assembly.task.device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(assembly.task.device)
    return int(free)
