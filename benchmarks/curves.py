"""How time and memory of a training step grow with members, bins, units, generator and threads.

    python benchmarks/curves.py [--rounds 3] [--threads 1 2] [--curves members bins units generator]
        [--at-most N] [--again] [--although-loaded] [--results FILE]

One size varies at a time, the others are those of `BASE`. At each point the compiled and the
portable backend, and at P = 1 the eager stand-in of `eager_step.py`, live in processes of their own
and take turns step by step, as in `kernel_steps.py`; medians are of processor time on one thread
and of the clock on more. Memory is what the first step adds to the peak of its process.

A shape is only timed after the gradients of every backend agree with the reference in float64.
Beside each point stands a floor: the step's products at the rate of a large product here (ideally
shared by the threads), and what the step stores, written and read at the rate of a large copy.

Writes results/curves.json after every point; points that are there are not measured again. A point
beside other work on the machine is not stored and ends the program, unless it is allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from kernel_steps import (
    EAGER,
    OwnProcess,
    Variant,
    checked,
    memory_rate,
    processor,
    product_rate,
    taking_turns,
)
from other_work import add_option, require_quiet
from step_shapes import Shape
from tree import sources

from lfads_torch.data.check.memory import SizesOfStep, stored_per_entry
from lfads_torch.outputs.run_record import library_versions, now_text

RESULTS = Path(__file__).parent / "results" / "curves.json"
BASE = {"members": 1, "bins": 100, "units": 100, "generator": 100}
CURVES = {
    "members": (1, 2, 4, 8, 16, 32),
    "bins": (25, 50, 100, 200, 400),
    "units": (20, 50, 100, 200, 500, 1000),
    "generator": (32, 64, 100, 200, 400),
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """What varies; all else is fixed in `shape`."""

    members: int
    bins: int
    units: int
    generator: int
    threads: int

    @property
    def name(self) -> str:
        return f"P{self.members} T{self.bins} N{self.units} G{self.generator} threads{self.threads}"

    def shape(self) -> Shape:
        """The preset `medium`; a quarter of the units held out."""
        return Shape(
            trials=64, encoded_bins=self.bins, bins=self.bins, encoded_units=3 * self.units // 4,
            units=self.units, encoder=100, controller_encoder=80, controller=80,
            generator=self.generator, factors=40, initial_condition=100,
        )  # fmt: skip

    def variants(self) -> tuple[Variant, ...]:
        ours = tuple(Variant(backend, self.members) for backend in ("compiled", "portable"))
        return (EAGER, *ours) if self.members == 1 else ours


def points(curves: list[str], threads: list[int]) -> Iterator[Point]:
    """Every point once, the base first."""
    for n in threads:
        of_curves = (BASE | {curve: value} for curve in curves for value in CURVES[curve])
        found = dict.fromkeys(Point(**sizes, threads=n) for sizes in (BASE, *of_curves))
        yield from found


def stored_bytes(shape: Shape) -> float:
    """What one member's step of the compiled backend keeps for its backward pass."""
    step = SizesOfStep(
        n_trials=shape.trials,
        n_encoded_bins=shape.encoded_bins,
        n_bins=shape.bins,
        n_units=shape.units,
        n_encoded_units=shape.encoded_units,
        ic_encoder_size=shape.encoder,
        controller_encoder_size=shape.controller_encoder,
        controller_size=shape.controller,
        generator_size=shape.generator,
        n_factors=shape.factors,
        n_inputs=shape.inferred,
    )
    return 4.0 * step.numbers(stored_per_entry("compiled"))


def measured(
    point: Point, machine: dict[str, Any], errors: dict[str, float], rounds: int
) -> dict[str, Any]:  # JSON
    """Time and memory per member of every variant, and the floor."""
    shape, load = point.shape(), os.getloadavg()[0]
    processes = {each: OwnProcess(shape, each, point.threads) for each in point.variants()}
    turns = taking_turns(processes, threads=point.threads, rounds=rounds)
    products = shape.gflop() / machine["product_gflop_per_s"] / point.threads
    copies = 2e-9 * stored_bytes(shape) / machine["memory_gb_per_s"]
    return {
        **{name: getattr(point, name) for name in (*BASE, "threads")},
        "gflop": round(shape.gflop(), 2),
        "floor_products_ms": round(1000 * products, 2),
        "floor_copies_ms": round(1000 * copies, 2),
        "gradient_error": {name: float(f"{error:.1e}") for name, error in errors.items()},
        "rounds": rounds,
        "load_before": round(load, 1),
        "other_work_cores": turns.other_work_cores,
        "measured": now_text(),
        **sources(),
        "variants": {
            each.backend: {
                "backend": processes[each].said["backend"],
                "ms_per_member": round(1000 * median(found) / each.members, 2),
                "fastest_ms_per_member": round(1000 * min(found) / each.members, 2),
                "peak_mb": processes[each].said["peak_mb"],
                "step_mb_per_member": round(processes[each].said["step_mb"] / each.members, 1),
            }
            for each, found in turns.times.items()
        },
    }


def begun(path: Path, *, again: bool) -> dict[str, Any]:  # JSON
    """The stored result, to go on with, or a new one with this machine's rates."""
    if path.exists() and not again:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "product_gflop_per_s": round(product_rate(), 1),
        "memory_gb_per_s": round(memory_rate(), 1),
    }
    fixed = Point(**BASE, threads=1).shape()
    return {
        "what": __doc__.splitlines()[0],
        "machine": machine,
        "versions": library_versions(),
        "base": {**BASE, **{name: getattr(fixed, name) for name in fixed.__dataclass_fields__}},
        "points": {},
    }


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--curves", nargs="+", choices=list(CURVES), default=list(CURVES))
    parser.add_argument("--at-most", type=int, help="points to measure in this call")
    parser.add_argument("--again", action="store_true", help="forget what is stored")
    parser.add_argument("--results", type=Path, default=RESULTS)
    add_option(parser)
    given = parser.parse_args()
    require_quiet(allowed=given.although_loaded)
    torch.set_num_threads(1)  # of the checks; the timed processes have their own
    result = begun(given.results, again=given.again)
    missing = [
        each for each in points(given.curves, given.threads) if each.name not in result["points"]
    ]
    errors: dict[Shape, dict[str, float]] = {}
    for n, point in enumerate(missing[: given.at_most], 1):
        started = time.monotonic()
        shape = point.shape()
        if shape not in errors:
            errors[shape] = checked(shape)  # ends the program where a gradient is wrong
        found = measured(point, result["machine"], errors[shape], given.rounds)
        require_quiet(allowed=given.although_loaded, cores=found["other_work_cores"] or 0.0)
        result["points"][point.name] = found
        given.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        told = ", ".join(
            f"{name} {each['ms_per_member']:.0f} ms" for name, each in found["variants"].items()
        )
        seconds = time.monotonic() - started
        print(f"{n} of {len(missing)}: {point.name}: {told} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
