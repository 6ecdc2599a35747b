"""How long a whole training step takes with each kernel backend, on one thread.

    python benchmarks/kernel_steps.py [--rounds 5]

The medium preset on the shapes of the maze recording: 64 trials of 100 bins, 122 encoded units of
162. Every variant takes its turn in every round (A B A B ...), and medians are compared. Times are
of the thread's own processor time: other work on the machine then shows in caches, not in waiting.

All variants draw their random numbers from the compiled library where it is there. A variant is
timed only after the gradient of one step agrees with that of the reference in float64.
Writes results/kernel_steps.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lfads_torch.config.read import read_settings
from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.outputs.run_record import library_versions
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.resident import reside
from lfads_torch.training.state import PopulationState, new_state
from lfads_torch.training.step import training_step
from lfads_torch.training.task import build_task

RESULTS = Path(__file__).parent / "results" / "kernel_steps.json"
CPU = torch.device("cpu")
N_TRIALS, BATCH, BINS, UNITS, ENCODED = 128, 64, 100, 162, 122
TOLERANCE = 1e-4  # of the gradient's norm; the reference itself is off by about 1e-5 in float32


@dataclass(frozen=True)
class Variant:
    """A backend and a number of members."""

    backend: str
    members: int

    @property
    def name(self) -> str:
        return f"{self.backend}, P = {self.members}"


VARIANTS = (
    Variant("reference", 1),
    Variant("portable", 1),
    Variant("compiled", 1),
    Variant("portable", 8),
    Variant("compiled", 8),
)


@dataclass(frozen=True)
class Step:
    """A training step that can be repeated, and the population that it advances."""

    run: Callable[[], object]
    state: PopulationState
    backend: str


def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(0.05, (N_TRIALS, BINS, UNITS)).astype(np.float64)


def build(backend: str, members: int, dtype: torch.dtype = torch.float32) -> Step:
    settings = read_settings(None, "medium", ())
    session = SessionSizes(
        name="maze", n_units=UNITS, encoded_units=tuple(range(ENCODED)), n_parameters=1
    )
    task = build_task(
        settings.model,
        settings.loss,
        settings.training,
        sizes=ModelSizes(n_bins=BINS, n_encoded_bins=BINS, sessions=(session,)),
        bin_width_s=0.005,
        observations=(Poisson(),),
        readout_biases={"maze": torch.full((UNITS,), -3.0)},
        kernels=choose_kernels(backend, dtype=dtype),
        device=CPU,
        dtype=dtype,
    )
    trials = reside(counts(), Poisson(), ic_bins=0, device=CPU, dtype=dtype)
    own = Hyperparameters.repeated(
        settings.loss,
        settings.augmentation,
        settings.training,
        n_members=members,
        device=CPU,
        dtype=dtype,
    )
    state = new_state(task.layout, own, seed=1, members=torch.arange(members), dtype=dtype)
    index = (torch.arange(BATCH).expand(members, -1),)

    def run() -> object:
        return training_step(state, task, (trials,), index, seed=1)

    return Step(run, state, task.kernels.name)


def first_gradient(backend: str, dtype: torch.dtype) -> Tensor:
    """The clipped gradient of the first step, up to a factor: what the first moment holds."""
    step = build(backend, 1, dtype)
    step.run()
    return step.state.moment1[0].double()


def checked(backend: str, truth: Tensor) -> float:
    error = float((first_gradient(backend, torch.float32) - truth).norm() / truth.norm())
    if not error <= TOLERANCE:
        sys.exit(f"{backend}: the gradient is off by {error:.1e}, {TOLERANCE:.0e} is allowed")
    return error


def measured(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time per step, every variant in turn."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step.run()  # first touches of memory and caches
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.thread_time()
            step.run()
            times[name].append(time.thread_time() - start)
    return times


def product_rate() -> float:
    """Billions of operations per second of a large float32 product: what the machine could do."""
    a = torch.randn(1024, 1024)
    best = 0.0
    for _ in range(10):
        start = time.thread_time()
        torch.mm(a, a)
        best = max(best, 2e-9 * 1024**3 / (time.thread_time() - start))
    return best


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    truth = first_gradient("reference", torch.float64)
    errors = {b: checked(b, truth) for b in dict.fromkeys(v.backend for v in VARIANTS)}
    steps = {v.name: build(v.backend, v.members) for v in VARIANTS}
    load = os.getloadavg()[0]
    times = measured(steps, rounds)
    members = {v.name: v.members for v in VARIANTS}
    per_member = {name: 1000 * median(t) / members[name] for name, t in times.items()}
    baseline = per_member["reference, P = 1"]
    result: dict[str, Any] = {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
            "product_gflop_per_s": round(product_rate(), 1),
        },
        "versions": library_versions(),
        "shapes": {"trials": BATCH, "bins": BINS, "units": UNITS, "encoded_units": ENCODED,
                   "preset": "medium", "threads": 1, "precision": "float32"},
        "random_numbers": "portable" if isinstance(find_library(), Absent) else "compiled, for all",
        "measured": "processor time of the thread, variants in turn, medians",
        "rounds": rounds,
        "gradient_error": {name: float(f"{error:.1e}") for name, error in errors.items()},
        "variants": {
            name: {
                "backend": steps[name].backend,
                "ms_per_member": round(per_member[name], 1),
                "fastest_ms_per_member": round(1000 * min(times[name]) / members[name], 1),
                "times_faster_than_reference": round(baseline / per_member[name], 2),
            }
            for name in times
        },
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
