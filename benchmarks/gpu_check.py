"""Everything about the Triton backend on a GPU, in one command and under eight minutes.

    PYTHONPATH=src python benchmarks/gpu_check.py
    TRITON_INTERPRET=1 PYTHONPATH=src python benchmarks/gpu_check.py --device cpu --tiny

Needs PyTorch, Triton and NumPy alone. First every kernel against the definition in float64; after
a failed check nothing is timed, and the exit code is 1. It is 1 too where time ran out for some of
the checks, but then the rest goes on. Then times and memory of training steps, then a whole search
of 20 members, last the compiled library on this machine's processor, where there are CMake and a
compiler. Every part has a share of the time; results/gpu_check.json is written anew after every
one. With --tiny all of it runs through Triton's interpreter in miniature.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from gpu_cases import CPU, MAZE, TINY, Shapes, relative_error

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gpu_check.json"
BUDGET_S = 450.0  # of all parts; compiling kernels counts


@dataclass
class Run:
    """What is known so far; written after every part."""

    device: torch.device
    shapes: Shapes
    tiny: bool
    path: Path
    found: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    has_failed: bool = False
    is_cut_short: bool = False  # time ran out before all checks were made

    def until(self, share: float) -> float:
        """When a part must end that may last until this share of the whole time."""
        return self.started + share * BUDGET_S

    def part(self, name: str, make: Callable[[], Any]) -> None:
        """Run a part; what it raises is a failure, and the others go on."""
        start = time.monotonic()
        try:
            self.found[name] = make()
        except Exception as error:
            # A part that fails in any way at all is reported, and the next one begins.
            traceback.print_exc()
            self.found[name] = {"failed": f"{type(error).__name__}: {error}"}
            self.has_failed = True
        self.found.setdefault("seconds", {})[name] = round(time.monotonic() - start, 1)
        self.write()
        print(f"{name}: {json.dumps(self.found[name], default=str)[:2000]}", flush=True)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.found, indent=1, default=str) + "\n"
        self.path.write_text(text, encoding="utf-8")


def machine(device: torch.device) -> dict[str, Any]:
    names = ("torch", "triton", "numpy")
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter",
        "processor": platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in names},
        "cuda": torch.version.cuda,
        "revision": revision(),
    }


def revision() -> str:
    """A lent machine may have no git, or only a copy of the files."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return told.stdout.strip() or "unknown"


def correctness(run: Run) -> list[dict[str, Any]]:
    from gpu_correctness import checks

    rows = []
    for check in checks(run.shapes, run.device, tiny=run.tiny):
        rows.append({**asdict(check), "passed": check.passed})
        run.has_failed |= not check.passed
        run.found["correctness"] = rows
        run.write()
        print("ok  " if check.passed else "FAIL", check.name, f"{check.error:.1e}", flush=True)
        if time.monotonic() > run.until(0.45):
            print("the checks took their share of the time; some were not made", file=sys.stderr)
            run.is_cut_short = run.found["checks_cut_short"] = True
            break
    return rows


def speed(run: Run) -> dict[str, Any]:
    from gpu_speed import floors, likelihood_times, memory_per_member, step_times

    found: dict[str, Any] = {"floors": floors(run.device, tiny=run.tiny)}
    rounds = 1 if run.tiny else 21
    found["likelihood"] = list(likelihood_times(run.shapes, run.device, rounds=rounds))
    found["steps"] = list(
        step_times(
            run.shapes, run.device, rounds=1 if run.tiny else 7, tiny=run.tiny,
            until=run.until(0.7),
        )
    )  # fmt: skip
    if run.device.type == "cuda":
        found["memory"] = {
            backend: memory_per_member(run.shapes, run.device, backend)
            for backend in ("portable", "triton-bf16")
        }
    return found


def compiled(run: Run) -> dict[str, Any]:
    """Build the compiled library here, check it and time it: this processor may have more."""
    from gpu_correctness import first_moment
    from gpu_speed import seconds, step_of

    from lfads_torch.kernels.choose import choose_kernels
    from lfads_torch.kernels.compiled.library import find_library

    if shutil.which("cmake") is None or (shutil.which("c++") or shutil.which("g++")) is None:
        return {"left_out": "no CMake or no C++ compiler here"}
    source = ROOT / "src" / "lfads_torch" / "kernels" / "compiled" / "native"
    build = ROOT / "build" / "compiled"
    for command in (
        ["cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(build)],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    find_library.cache_clear()
    best = choose_kernels("compiled").name
    truth = first_moment(run.shapes, "reference", CPU, torch.float64, 1)
    error = relative_error([first_moment(run.shapes, best, CPU, torch.float32, 1)], [truth])
    if not error <= 2e-4:
        raise ValueError(f"{best}: the gradient of a step is off by {error:.1e}")
    rows = []
    for backend in ("portable", best):
        for members in (1,) if run.tiny else (1, 4):
            step = step_of(run.shapes, backend, members, CPU, recorded=False)
            step()
            times = [seconds(step, CPU) for _ in range(1 if run.tiny else 3)]
            rows.append({"backend": backend, "members": members, "ms_per_member":
                         1000 * sorted(times)[len(times) // 2] / members})  # fmt: skip
    return {"error": error, "threads": torch.get_num_threads(), "steps": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes for the interpreter")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "gpu_check: PyTorch finds no CUDA device; for the interpreter: --device cpu --tiny"
        )
    if given.device == "cpu" and (os.environ.get("TRITON_INTERPRET") != "1" or not given.tiny):
        sys.exit("gpu_check: on the CPU set TRITON_INTERPRET=1 and add --tiny")
    device = torch.device(given.device, 0) if given.device == "cuda" else CPU
    run = Run(device, TINY if given.tiny else MAZE, given.tiny, given.out)
    run.part("machine", lambda: machine(device))
    run.part("correctness", lambda: correctness(run))
    if run.has_failed:
        print("a check failed: nothing is timed", file=sys.stderr)
    else:
        from gpu_search import whole_search

        run.part("speed", lambda: speed(run))
        backend = "triton-float32" if given.tiny else "triton-bf16"
        run.part(
            "search",
            lambda: whole_search(
                run.shapes, device, backend, until=run.until(0.9), tiny=given.tiny
            ),
        )
    if not given.tiny:
        run.part("compiled", lambda: compiled(run))
    print(f"{time.monotonic() - run.started:.0f} s; written to {given.out}")
    sys.exit(1 if run.has_failed or run.is_cut_short else 0)


if __name__ == "__main__":
    main()
