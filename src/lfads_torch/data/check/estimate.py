"""How long a fit will take and how much memory it needs: an estimate from sizes, and no more."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from lfads_torch.data.check.memory import (
    MemoryEstimate,
    SizesOfStep,
    even_groups,
    stored_per_entry,
)
from lfads_torch.data.free_memory import USABLE_SHARE, free_bytes

__all__ = [
    "CostSizes",
    "FitEstimate",
    "FitPlan",
    "estimate_fit",
    "measured_flops_per_s",
    "members_at_once",
    "memory_of",
]

# Element-wise work and the likelihood take about as long as the products.
SHARE_OF_TIME_IN_PRODUCTS = 0.5
# Operator calls of one bin, forward and backward, whatever the sizes.
OVERHEAD_S_PER_BIN = 1e-3


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What a fit is about to do, as far as its cost depends on it (defaults: a medium model)."""

    ic_encoder_size: int = 100
    controller_encoder_size: int = 80
    controller_size: int = 80
    generator_size: int = 100
    n_factors: int = 40
    n_inferred_inputs: int = 4
    initial_condition_size: int = 100
    ic_bins: int = 0
    update_gate_bias: float = 1.0
    batch_size: int = 64
    epochs: int = 1000
    n_members: int = 1
    members_at_once: int = 0  # 0: as many as fit and are worth it
    memory_bytes: float | None = None  # that training may take; None: a share of what is free
    threads: int = 1
    is_on_cpu: bool = True
    backend: str = "compiled"
    is_poisson: bool = True
    bytes_per_number: int = 4
    flops_per_s: float | None = None  # None: measured here by a short matrix product
    available_bytes: int | None = None  # None: this machine's free memory, where it says


@dataclass(frozen=True, kw_only=True)
class FitEstimate:
    """Time within a factor of about three, and early stopping makes it shorter; memory within a
    third of what training adds to the process, on the CPU."""

    flops_per_step: float
    flops_per_s: float
    steps_per_epoch: int
    seconds_per_epoch: float
    seconds: float  # all epochs
    memory_bytes: float
    members_at_once: int  # the others wait for their turn
    available_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CostSizes:
    """Sizes of a recording and its split that time and memory of a fit follow from."""

    n_trials: int
    n_train: int
    n_valid: int
    n_bins: int
    n_encoded_bins: int
    n_units: int
    n_encoded_units: int
    n_external_inputs: int
    is_by_trial: bool = False  # counts stay in their file


def estimate_fit(plan: FitPlan, sizes: CostSizes) -> FitEstimate:
    """Cost of the plan on these data, on one processor of this machine.

    A recurrent cell of H states and I inputs costs `6 H (I + H)` operations per trial and bin, a
    linear map `2 I O`; the backward pass twice the forward one. Time is operations over the rate
    of a matrix product of the generator's size, over its share of the time, plus a constant per
    step and bin for the operator calls. Memory: see `MemoryEstimate`, with as many members at once
    as a fit would take.
    """
    forward = _flops_per_trial(plan, sizes)
    n_bins = max(sizes.n_bins - plan.ic_bins, 1)
    batch = min(plan.batch_size, max(sizes.n_train, 1))
    steps = -(-max(sizes.n_train, 1) // batch)
    rate = plan.flops_per_s or measured_flops_per_s(batch, plan.generator_size)
    flops_per_epoch = plan.n_members * forward * (3 * sizes.n_train + sizes.n_valid)
    overhead = steps * (n_bins + sizes.n_encoded_bins) * OVERHEAD_S_PER_BIN
    seconds_per_epoch = flops_per_epoch / (rate * SHARE_OF_TIME_IN_PRODUCTS) + overhead
    available = plan.available_bytes if plan.available_bytes is not None else free_bytes()
    n_at_once = members_at_once(plan, sizes, available)
    return FitEstimate(
        flops_per_step=3.0 * plan.n_members * forward * batch,
        flops_per_s=rate,
        steps_per_epoch=steps,
        seconds_per_epoch=seconds_per_epoch,
        seconds=seconds_per_epoch * plan.epochs,
        memory_bytes=memory_of(plan, sizes).total(plan.n_members, n_at_once),
        members_at_once=n_at_once,
        available_bytes=available,
    )


def members_at_once(plan: FitPlan, sizes: CostSizes, available: float | None) -> int:
    """Members of a group: on a GPU as many as fit, on the CPU no more than are worth it."""
    if plan.members_at_once:
        return min(plan.members_at_once, plan.n_members)
    memory, n_members = memory_of(plan, sizes), plan.n_members
    usable = plan.memory_bytes
    if usable is None and available is not None:
        usable = USABLE_SHARE * available
    n_at_once = memory.members_that_fit(n_members, usable)
    if plan.is_on_cpu:
        n_at_once = min(n_at_once, memory.worthwhile_members(n_members, plan.threads))
    return even_groups(n_members, n_at_once)


def memory_of(plan: FitPlan, sizes: CostSizes) -> MemoryEstimate:
    """Of the plan on these data."""
    has_controller = plan.n_inferred_inputs > 0
    n_counts = 0 if sizes.is_by_trial else sizes.n_trials * sizes.n_bins * sizes.n_units
    return MemoryEstimate.of_sizes(
        SizesOfStep(
            n_trials=_trials_of_a_batch(plan, sizes),
            n_encoded_bins=sizes.n_encoded_bins,
            n_bins=max(sizes.n_bins - plan.ic_bins, 1),
            n_units=sizes.n_units,
            n_encoded_units=sizes.n_encoded_units,
            ic_encoder_size=plan.ic_encoder_size,
            controller_encoder_size=plan.controller_encoder_size if has_controller else 0,
            controller_size=plan.controller_size if has_controller else 0,
            generator_size=plan.generator_size,
            n_factors=plan.n_factors,
            n_inputs=plan.n_inferred_inputs + sizes.n_external_inputs,
        ),
        stored_per_entry(plan.backend, is_poisson=plan.is_poisson),
        n_weights=_n_weights(plan, sizes),
        n_counts=n_counts,
        bytes_per_number=plan.bytes_per_number,
    )


def _trials_of_a_batch(plan: FitPlan, sizes: CostSizes) -> int:
    """The largest one; batches of an epoch are of equal size, nearly."""
    n_train = max(sizes.n_train, 1)
    n_batches = -(-n_train // max(plan.batch_size, 1))
    return -(-n_train // n_batches)


def measured_flops_per_s(n_trials: int, n_hidden: int, *, seconds: float = 0.1) -> float:
    """Operations per second of float32 products [n_trials, H] x [H, 3H] on one core.

    The fastest of all products that fit into `seconds`, on one thread: where other processes hold
    the cores, threads wait for each other, and a mean would say more about the neighbours than
    about the machine. Products this small gain little from more threads.
    """
    from threadpoolctl import threadpool_limits

    states = np.ones((max(n_trials, 1), n_hidden), dtype=np.float32)
    weights = np.ones((n_hidden, 3 * n_hidden), dtype=np.float32)
    fastest = math.inf
    with threadpool_limits(limits=1):
        end = time.perf_counter() + seconds
        while fastest == math.inf or time.perf_counter() < end:
            start = time.perf_counter()
            states @ weights
            fastest = min(fastest, time.perf_counter() - start)
    return 6.0 * states.shape[0] * n_hidden**2 / max(fastest, 1e-9)


def _flops_per_trial(plan: FitPlan, sizes: CostSizes) -> float:
    """Operations of one forward pass of one trial and member."""
    n_generated = max(sizes.n_bins - plan.ic_bins, 1)
    n_ic_bins = plan.ic_bins or sizes.n_encoded_bins
    flops = 2 * n_ic_bins * _cell(sizes.n_encoded_units, plan.ic_encoder_size)
    inputs = plan.n_inferred_inputs + sizes.n_external_inputs
    flops += n_generated * _cell(inputs, plan.generator_size)
    flops += n_generated * 2 * plan.n_factors * (plan.generator_size + sizes.n_units)
    if plan.n_inferred_inputs:
        n_encoded = max(sizes.n_encoded_bins - plan.ic_bins, 1)
        seen = 2 * plan.controller_encoder_size
        flops += 2 * n_encoded * _cell(sizes.n_encoded_units, plan.controller_encoder_size)
        flops += n_generated * _cell(seen + plan.n_factors, plan.controller_size)
        flops += n_generated * 4 * plan.controller_size * plan.n_inferred_inputs
    return float(flops)


def _cell(n_inputs: int, n_hidden: int) -> int:
    return 6 * n_hidden * (n_inputs + n_hidden)


def _n_weights(plan: FitPlan, sizes: CostSizes) -> int:
    """Recurrent and input matrices, and the larger linear maps; biases are left out."""
    cells = [(2, sizes.n_encoded_units, plan.ic_encoder_size)]
    cells.append((1, plan.n_inferred_inputs + sizes.n_external_inputs, plan.generator_size))
    if plan.n_inferred_inputs:
        cells.append((2, sizes.n_encoded_units, plan.controller_encoder_size))
        seen = 2 * plan.controller_encoder_size + plan.n_factors
        cells.append((1, seen, plan.controller_size))
    n_cells = sum(n * 3 * hidden * (inputs + hidden) for n, inputs, hidden in cells)
    initial = plan.initial_condition_size * (4 * plan.ic_encoder_size + plan.generator_size)
    return n_cells + initial + plan.n_factors * (plan.generator_size + sizes.n_units)
