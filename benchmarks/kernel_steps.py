"""How long a whole training step takes: an eager stand-in of the incumbent beside our backends.

    python benchmarks/kernel_steps.py [--rounds 3] [--threads 1] [--members 1 8 16] [--shapes maze]
        [--incumbent FOLDER [--incumbent-python PROGRAM]] [--although-loaded]

Every variant lives in a process of its own, as a run would, and takes its turn in every round
(A B A B ...); medians are compared. Times are of the process's own processor time with one thread,
so that other work on the machine shows in caches, not in waiting, and of the clock with more.
Ratios are against the eager stand-in (`eager_step.py`), P = 1, on the same number of threads, and
against lfads-torch itself where a folder with its package is given (`incumbent_step.py`).

Nothing of ours is timed before the gradient of a step agrees with the reference's in float64.
Beside each figure stands a floor: the products of a step at the rate of a large product here.
Beside other work on the machine nothing is timed, unless it is allowed; then the result tells it.
Writes results/kernel_steps.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from incumbent_step import IncumbentProcess
from other_work import OtherWork, add_option, require_quiet
from peak_memory import begin_anew, peak_mb
from step_shapes import SHAPES, OperatorCalls, Shape
from step_variants import (
    Step,
    build,
    build_eager,
    eager_gradients,
    incumbent_settings,
    members_of_a_group,
)
from torch import Tensor
from tree import sources

from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.kernels.compiled.threads import threads_for_library
from lfads_torch.outputs.run_record import library_versions
from lfads_torch.training.memory import freed_memory_kept

RESULTS = Path(__file__).parent / "results" / "kernel_steps.json"
CHECKED_TRIALS = 9
TOLERANCE = 1e-4  # of the gradient's norm; the reference itself is off by about 1e-5 in float32
EAGER_TOLERANCE = 1e-9  # in float64, without noise
# Measured of the incumbent elsewhere: 15,000 operator calls; 1.04 to 1.67 s for 21.5 GFLOP on cores
# whose products reach 100 to 133 GFLOP/s, so 6.3 to 7.8 times the time of its products.
INCUMBENT = {"operator_calls": 15000, "times_its_products": [6.3, 7.8]}


@dataclass(frozen=True)
class Variant:
    """A way of making the step, and for how many members at once."""

    backend: str
    members: int
    at_once: int = 0  # groups of so many in turn, as a run trains them; 0: all at once

    @property
    def name(self) -> str:
        how = "" if not self.at_once else f", {self.at_once} at once"
        return f"{self.backend}, P = {self.members}{how}"


EAGER = Variant("eager", 1)
PEER = Variant("lfads-torch", 1)


@dataclass(frozen=True)
class Peer:
    """Where lfads-torch itself is, and a Python that has what it imports."""

    folder: Path
    python: Path


def variants(shape: Shape, members: int, threads: int, peer: Peer | None) -> tuple[Variant, ...]:
    """What takes turns: lfads-torch, the stand-in, and the backends for so many members, all at
    once and in groups as a run trains them."""
    alone = (Variant("reference", 1),) if members == 1 else ()
    first = (EAGER,) if peer is None else (PEER, EAGER)
    ours = []
    for backend in ("portable", "compiled"):
        ours.append(Variant(backend, members))
        at_once = members_of_a_group(shape, backend, members, threads)
        if at_once < members:
            ours.append(Variant(backend, members, at_once))
    return (*first, *alone, *ours)


def made(shape: Shape, variant: Variant) -> Step:
    if variant.backend == "eager":
        return build_eager(shape)
    return build(
        shape, variant.backend, variant.members, n_trials=shape.trials, at_once=variant.at_once
    )


def serve(line: Connection, shape: Shape, variant: Variant, threads: int) -> None:
    """A process: builds its step, warms up, and makes one timed step per request."""
    torch.set_num_threads(threads)
    with OperatorCalls():  # what a first step imports is not of the step's memory
        made(replace(shape, trials=1, bins=2, encoded_bins=2), variant).run()
    step = made(shape, variant)
    begin_anew()  # making the data took more than holding it
    before = peak_mb()
    is_compiled = step.backend.startswith("compiled")
    threads_as_in_a_run = threads_for_library() if is_compiled else nullcontext()
    with freed_memory_kept(), threads_as_in_a_run:
        with OperatorCalls() as calls:
            step.run()
        memory = {"peak_mb": round(peak_mb()), "step_mb": round(peak_mb() - before, 1)}
        line.send({"backend": step.backend, "operator_calls": calls.n, **memory})
        while line.recv():
            processor, clock = time.process_time(), time.perf_counter()
            step.run()
            line.send((time.process_time() - processor, time.perf_counter() - clock))


def first_gradient(shape: Shape, backend: str, dtype: torch.dtype) -> Tensor:
    """The clipped gradient of the first step, up to a factor: what the first moment holds."""
    step = build(shape, backend, 1, n_trials=CHECKED_TRIALS, dtype=dtype)
    step.run()
    assert step.state is not None
    return step.state.moment1[0].double()


def checked(shape: Shape) -> dict[str, float]:
    """Relative errors of the gradient; ends the program where one is too large."""
    found, true = eager_gradients(shape, CHECKED_TRIALS)
    squared = sum(float((found[name] - true[name]).square().sum()) for name in true)
    errors = {"eager": (squared / sum(float(t.square().sum()) for t in true.values())) ** 0.5}
    truth = first_gradient(shape, "reference", torch.float64)
    for backend in ("reference", "portable", "compiled"):
        gradient = first_gradient(shape, backend, torch.float32)
        errors[backend] = float((gradient - truth).norm() / truth.norm())
    for name, error in errors.items():
        allowed = EAGER_TOLERANCE if name == "eager" else TOLERANCE
        if not error <= allowed:
            sys.exit(f"{name}: the gradient is off by {error:.1e}, {allowed:.0e} is allowed")
    return errors


class OwnProcess:
    """Steps of a variant of ours on request, as `IncumbentProcess` has those of lfads-torch."""

    def __init__(self, shape: Shape, variant: Variant, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, there = context.Pipe()
        self._process = context.Process(
            target=serve, args=(there, shape, variant, threads), daemon=True
        )
        self._process.start()

    @cached_property
    def said(self) -> dict[str, Any]:  # JSON values
        """What it says once it is ready; several can make ready at once."""
        found: dict[str, Any] = self._line.recv()
        return found

    def times(self) -> tuple[float, float]:
        """Of one more step: seconds of the processor, and of the clock."""
        assert self.said
        self._line.send(True)
        processor, clock = self._line.recv()
        return processor, clock

    def close(self) -> None:
        self._line.send(False)
        self._process.join()


def started(
    shape: Shape, variant: Variant, threads: int, peer: Peer | None
) -> OwnProcess | IncumbentProcess:
    if variant != PEER or peer is None:
        return OwnProcess(shape, variant, threads)
    settings = incumbent_settings(shape)
    return IncumbentProcess(peer.folder, peer.python, shape, settings, threads=threads)


@dataclass(frozen=True)
class Turns:
    """Seconds of every variant's step in every round, and the cores that others held meanwhile."""

    times: dict[Variant, list[float]]
    other_work_cores: float | None


def taking_turns(
    processes: Mapping[Variant, OwnProcess | IncumbentProcess], *, threads: int, rounds: int
) -> Turns:
    """Every variant makes a step in every round; the processes end."""
    times: dict[Variant, list[float]] = {variant: [] for variant in processes}
    assert all(process.said for process in processes.values())  # all are ready before any is timed
    others = OtherWork.begin()
    for _ in range(rounds):
        for variant, process in processes.items():
            times[variant].append(process.times()[0 if threads == 1 else 1])
    turns = Turns(times, others.cores())
    for process in processes.values():
        process.close()
    return turns


def measured(
    shape: Shape,
    members: int,
    *,
    threads: int,
    rounds: int,
    peer: Peer | None,
    although_loaded: bool,
) -> dict[str, Any]:  # JSON values
    """Median time of every variant for a member, and its ratios to what is beside it."""
    chosen = variants(shape, members, threads, peer)
    processes = {variant: started(shape, variant, threads, peer) for variant in chosen}
    turns = taking_turns(processes, threads=threads, rounds=rounds)
    require_quiet(allowed=although_loaded, cores=turns.other_work_cores or 0.0)
    times = turns.times
    each = {v: 1000 * median(t) / v.members for v, t in times.items()}
    return {
        v.name: {
            **processes[v].said,
            "ms_per_member": round(each[v], 1),
            "fastest_ms_per_member": round(1000 * min(times[v]) / v.members, 1),
            "other_work_cores": turns.other_work_cores,
            "times_faster_than_eager": round(each[EAGER] / each[v], 2),
            **({} if peer is None else {"times_faster_than_peer": round(each[PEER] / each[v], 2)}),
        }
        for v in chosen
    }


def product_rate() -> float:
    """Billions of operations per second of a large float32 product on one thread."""
    torch.set_num_threads(1)
    a = torch.randn(1024, 1024)
    best = 0.0
    for _ in range(20):
        start = time.thread_time()
        torch.mm(a, a)
        best = max(best, 2e-9 * 1024**3 / (time.thread_time() - start))
    return best


def memory_rate() -> float:
    """Gigabytes per second, read and written, of a copy that fits no cache."""
    source, target = torch.zeros(2**26), torch.ones(2**26)
    best = 0.0
    for _ in range(4):
        start = time.thread_time()
        target.copy_(source)
        best = max(best, 2 * source.nbytes * 1e-9 / (time.thread_time() - start))
    return best


def processor() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Check, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["maze"])
    parser.add_argument("--incumbent", type=Path, help="a folder with lfads-torch's package")
    parser.add_argument("--incumbent-python", type=Path, default=Path(sys.executable))
    add_option(parser)
    given = parser.parse_args()
    require_quiet(allowed=given.although_loaded)
    peer = None if given.incumbent is None else Peer(given.incumbent, given.incumbent_python)
    load, products = os.getloadavg()[0], product_rate()
    result: dict[str, Any] = {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
            "product_gflop_per_s": round(products, 1),
            "memory_gb_per_s": round(memory_rate(), 1),
        },
        "versions": library_versions(),
        **sources(),
        "random_numbers": "portable" if isinstance(find_library(), Absent) else "compiled, for all",
        "rounds": given.rounds,
        "incumbent": INCUMBENT,
        "shapes": {},
    }
    for name in given.shapes:
        shape = SHAPES[name]
        errors = checked(shape)
        result["shapes"][name] = {
            **{key: getattr(shape, key) for key in shape.__dataclass_fields__},
            "gflop": round(shape.gflop(), 1),
            "floor_ms": round(1000 * shape.gflop() / products, 1),
            "gradient_error": {key: float(f"{error:.1e}") for key, error in errors.items()},
            "threads": {
                str(threads): {
                    str(members): measured(
                        shape,
                        members,
                        threads=threads,
                        rounds=given.rounds,
                        peer=peer,
                        although_loaded=given.although_loaded,
                    )
                    for members in given.members
                }
                for threads in given.threads
            },
        }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
