"""Time and memory of training steps on a GPU, backends in turn; see gpu_check.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from gpu_cases import SEED, Shapes
from gpu_correctness import chain
from poisson_cases import random_case, values_and_gradients

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.poisson import poisson_nats
from lfads_torch.training.step import training_step

__all__ = ["floors", "likelihood_times", "memory_per_member", "step_times"]

VARIANTS = (
    ("reference", 1, False), ("portable", 1, False), ("portable", 0, False),
    ("portable", 0, True), ("triton-float32", 0, True), ("triton-tf32", 0, True),
    ("triton-bf16", 0, False), ("triton-bf16", 1, True), ("triton-bf16", 0, True),
)  # backend, members (0: the population), recorded as a graph  # fmt: skip


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def floors(device: torch.device, *, tiny: bool) -> dict[str, float]:
    """The rates that bound everything: large products and a large copy, best of ten."""
    n = 64 if tiny else 8192
    found = {}
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        best = min(seconds(lambda a=a, b=b: a @ b, device) for _ in range(10))
        found[f"product_{name}_tflop_per_s"] = 2e-12 * n**3 / best
    source = torch.randn(n * n * (1 if tiny else 8), device=device)
    target = torch.empty_like(source)
    best = min(seconds(lambda: target.copy_(source), device) for _ in range(10))
    found["copy_gb_per_s"] = 2e-9 * source.numel() * 4 / best
    return found


def likelihood_times(
    shapes: Shapes, device: torch.device, *, rounds: int
) -> Iterator[dict[str, Any]]:
    """Read-out and likelihood of a population's batch with all gradients: kernels in turn."""
    sizes = (shapes.members, shapes.bins, shapes.batch, shapes.model.n_factors, shapes.units)
    case = random_case(sizes, "gradient").to(torch.float32, device)
    kernels = {"PyTorch operations": poisson_nats}
    for precision in ("float32", "tf32", "bf16"):
        name = f"triton-{precision}"
        kernels[name] = choose_kernels(name, device=device).poisson
    peaks: dict[str, dict[str, float]] = {name: {} for name in kernels}
    for name, kernel in kernels.items():  # compiles
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            held = torch.cuda.memory_allocated(device)
        values_and_gradients(case, kernel)
        if device.type == "cuda":
            peaks[name]["mb"] = (torch.cuda.max_memory_allocated(device) - held) / 1e6
    times: dict[str, list[float]] = {name: [] for name in kernels}
    for _ in range(rounds):
        for name, kernel in kernels.items():
            times[name].append(seconds(lambda k=kernel: values_and_gradients(case, k), device))
    for name, own in times.items():
        yield {"kernel": name, "ms": 1000 * median(own), "rounds": rounds, **peaks[name]}


def step_of(
    shapes: Shapes, backend: str, members: int, device: torch.device, *, recorded: bool
) -> Callable[[], object]:
    """A repeated training step; it raises where a recording is asked for and refused."""
    task = shapes.task(backend, device)
    state, data = shapes.state(task, members), shapes.data(task)
    batch, own_chain = shapes.index(device, members), chain(task, state)

    def single() -> object:
        return training_step(state, task, data.train, batch, seed=SEED, chain=own_chain)

    def replay() -> object:
        found = task.graphs.epoch(state, task, data.train, [batch] * 4, seed=SEED, chain=own_chain)
        if found is None:
            raise RuntimeError(task.graphs.refusal)
        return found

    return replay if recorded else single


def step_times(
    shapes: Shapes, device: torch.device, *, rounds: int, tiny: bool, until: float
) -> Iterator[dict[str, Any]]:
    """One row per variant; every variant takes its turn in every round."""
    steps, times, failed = {}, {}, {}
    for backend, wanted, recorded in VARIANTS[-3:-2] if tiny else VARIANTS:
        members = wanted or shapes.members
        key = (backend, members, recorded)
        if time.monotonic() > until:
            failed[key] = "no time left"
            continue
        try:
            steps[key] = step_of(shapes, backend, members, device, recorded=recorded)
            steps[key]()  # compiles, records
            times[key] = []
        except Exception as error:
            # Of whatever kind the error is (Triton has its own), the other variants go on.
            failed[key] = f"{type(error).__name__}: {error}".splitlines()[0]
            steps.pop(key, None)
    for _ in range(rounds):
        for key, run in steps.items():
            if not times[key] or time.monotonic() < until:
                times[key].append(seconds(run, device) / (4 if key[2] else 1))
    for key in [*steps, *failed]:
        backend, members, recorded = key
        row = {"backend": backend, "members": members, "recorded": recorded}
        if key in failed:
            yield row | {"failed": failed[key]}
            continue
        middle = median(times[key])
        yield row | {
            "ms_per_step": 1000 * middle,
            "ms_per_member": 1000 * middle / members,
            "gflop_per_s": shapes.gflop * members / middle,
            "rounds": len(times[key]),
        }


def memory_per_member(shapes: Shapes, device: torch.device, backend: str) -> dict[str, float]:
    """Peak of a training step, and what each further member adds."""
    peaks = {}
    for members in (shapes.members // 2, shapes.members):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        step_of(shapes, backend, members, device, recorded=False)()
        peaks[members] = torch.cuda.max_memory_allocated(device) / 1e6
    few, many = peaks
    return {"peak_mb": peaks[many], "mb_per_member": (peaks[many] - peaks[few]) / (many - few)}
