"""How many members train at once: on a CPU a few, on a GPU all that fit; the others take turns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.data.check.estimate import CostSizes, FitPlan
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.assemble import Assembly
    from lfads_torch.workflows.fit import Observer

__all__ = ["members_at_once", "members_by_estimate"]


def members_at_once(run: RunFolder, assembly: Assembly, watcher: Observer) -> int:
    """Members of a group; the one on record where the run has been trained before.

    Results are the same for every grouping up to rounding, and the record keeps the bits the same.
    """
    record = run.read_record()
    if isinstance(record.grouping, int):
        return record.grouping
    n_members = assembly.settings.run.n_seeds
    n_at_once = min(members_by_estimate(assembly), n_members)
    run.write_record(replace(record, grouping=n_at_once))
    if n_at_once < n_members:
        watcher.message(f"{n_members} members train in turn, {n_at_once} at once")
    return n_at_once


def members_by_estimate(assembly: Assembly) -> int:
    """What was asked for (`run.members_at_once`), or by the estimate of `lfads check`."""
    from lfads_torch.data.check import estimate

    plan, sizes = _plan(assembly), _sizes(assembly)
    free = _free_bytes(assembly) or estimate.estimate_fit(plan, sizes).available_bytes
    return estimate.members_at_once(plan, sizes, free)


def _plan(assembly: Assembly) -> FitPlan:
    from lfads_torch.workflows.check_file import plan_of

    task = assembly.task
    return replace(
        plan_of(assembly.settings),
        flops_per_s=1.0,
        backend=task.kernels.name,
        is_on_cpu=task.device.type == "cpu",
    )


def _sizes(assembly: Assembly) -> CostSizes:
    from lfads_torch.data.check.estimate import CostSizes
    from lfads_torch.training.filed import FiledTrials

    sizes, data = assembly.task.sizes, assembly.data_sizes
    session = max(sizes.sessions, key=lambda each: each.n_units)
    return CostSizes(
        n_trials=assembly.n_trials,
        n_train=data.n_trials_train,
        n_valid=data.n_trials_valid,
        n_bins=sizes.n_bins,
        n_encoded_bins=sizes.n_encoded_bins,
        n_units=session.n_units,
        n_encoded_units=len(session.encoded_units),
        n_external_inputs=sizes.n_external_inputs,
        is_by_trial=all(isinstance(each.trials, FiledTrials) for each in assembly.sessions),
    )


def _free_bytes(assembly: Assembly) -> int | None:
    """Of the accelerator; None for the processor, whose memory the estimate knows."""
    import torch

    if assembly.task.device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(assembly.task.device)
    return int(free)
