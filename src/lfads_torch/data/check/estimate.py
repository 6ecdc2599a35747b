"""How long a fit will take and how much memory it needs: an estimate from sizes, and no more."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

import numpy as np

__all__ = ["FitEstimate", "FitPlan", "estimate_fit", "measured_flops_per_s"]

# Element-wise work and the likelihood take about as long as the products.
SHARE_OF_TIME_IN_PRODUCTS = 0.5
# Operator calls of one bin, forward and backward, whatever the sizes.
OVERHEAD_S_PER_BIN = 1e-3
STATES_SAVED_PER_CELL = 7  # input projections of three gates, the gates, the state
COPIES_OF_WEIGHTS = 6  # weights, gradient, two moments, best, and one in flight


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
    batch_size: int = 64
    epochs: int = 1000
    n_members: int = 1
    flops_per_s: float | None = None  # None: measured here by a short matrix product
    available_bytes: int | None = None  # None: this machine's free memory, where it says


@dataclass(frozen=True, kw_only=True)
class FitEstimate:
    """Right within a factor of about three; early stopping makes it shorter."""

    flops_per_step: float
    flops_per_s: float
    steps_per_epoch: int
    seconds_per_epoch: float
    seconds: float  # all epochs
    memory_bytes: float
    available_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class DataSizes:
    """Sizes of a recording and its split."""

    n_trials: int
    n_train: int
    n_valid: int
    n_bins: int
    n_encoded_bins: int
    n_units: int
    n_encoded_units: int
    n_external_inputs: int


def estimate_fit(plan: FitPlan, sizes: DataSizes) -> FitEstimate:
    """Cost of the plan on these data, on one processor of this machine.

    A recurrent cell of H states and I inputs costs `6 H (I + H)` operations per trial and bin, a
    linear map `2 I O`; the backward pass twice the forward one. Time is operations over the rate
    of a matrix product of the generator's size, over its share of the time, plus a constant per
    step and bin for the operator calls. Memory: the states that the backward pass needs (twice,
    for gradients), the weights with their moments, and the counts as float32.
    """
    forward = _flops_per_trial(plan, sizes)
    n_bins = max(sizes.n_bins - plan.ic_bins, 1)
    batch = min(plan.batch_size, max(sizes.n_train, 1))
    steps = -(-max(sizes.n_train, 1) // batch)
    rate = plan.flops_per_s or measured_flops_per_s(batch, plan.generator_size)
    flops_per_epoch = plan.n_members * forward * (3 * sizes.n_train + sizes.n_valid)
    overhead = steps * (n_bins + sizes.n_encoded_bins) * OVERHEAD_S_PER_BIN
    seconds_per_epoch = flops_per_epoch / (rate * SHARE_OF_TIME_IN_PRODUCTS) + overhead
    available = plan.available_bytes if plan.available_bytes is not None else _free_bytes()
    return FitEstimate(
        flops_per_step=3.0 * plan.n_members * forward * batch,
        flops_per_s=rate,
        steps_per_epoch=steps,
        seconds_per_epoch=seconds_per_epoch,
        seconds=seconds_per_epoch * plan.epochs,
        memory_bytes=_memory_bytes(plan, sizes, batch),
        available_bytes=available,
    )


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


def _flops_per_trial(plan: FitPlan, sizes: DataSizes) -> float:
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


def _memory_bytes(plan: FitPlan, sizes: DataSizes, batch: int) -> float:
    has_controller = plan.n_inferred_inputs > 0
    hidden_encoded = 2 * plan.ic_encoder_size
    hidden_encoded += 2 * plan.controller_encoder_size if has_controller else 0
    hidden_generated = plan.generator_size + (plan.controller_size if has_controller else 0)
    saved = STATES_SAVED_PER_CELL * (
        hidden_encoded * sizes.n_encoded_bins + hidden_generated * sizes.n_bins
    )
    saved += (4 * sizes.n_units + plan.n_factors) * sizes.n_bins
    counts = sizes.n_trials * sizes.n_bins * sizes.n_units
    weights = COPIES_OF_WEIGHTS * plan.n_members * _n_weights(plan, sizes)
    return 4.0 * (2 * plan.n_members * batch * saved + weights + counts)


def _n_weights(plan: FitPlan, sizes: DataSizes) -> int:
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


def _free_bytes() -> int | None:
    names = getattr(os, "sysconf_names", {})  # Windows has none
    if "SC_AVPHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
