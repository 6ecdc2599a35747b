"""Where the time of a training step of the compiled backend goes: each of its calls, and the rest.

    python benchmarks/step_parts.py [--shape maze] [--members 1] [--steps 15] [--although-loaded]
        [--results FILE]

One process, one thread. Every call into the compiled library is timed as the step makes it (forward
and backward pass of the encoders and of the generation, read-out with likelihood and gradients,
masks and noise, the batch, the optimiser); what is left of a step is PyTorch operations and Python.
Medians over steps of processor time, after two steps that warm up.

Nothing is timed before the gradient of a step agrees with the reference's in float64.
Writes results/step_parts.json, and from it the table in src/lfads_torch/kernels/compiled/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from kernel_steps import checked, processor
from other_work import OtherWork, add_option, require_quiet
from step_shapes import SHAPES, Shape
from step_variants import Step, build
from tree import sources

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import threads_for_library
from lfads_torch.outputs.run_record import library_versions, now_text
from lfads_torch.training.memory import freed_memory_kept

RESULTS = Path(__file__).parent / "results" / "step_parts.json"
README = Path(__file__).parents[1] / "src/lfads_torch/kernels/compiled/README.md"
BEGIN, END = "<!-- step_parts: begin -->\n", "<!-- step_parts: end -->\n"
REST = "rest"
# Function of the library -> what it is of a step.
PARTS = {
    "decoder_backward": "generation, backward",
    "decoder_forward": "generation, forward",
    "gru_backward": "encoders, backward",
    "gru_forward": "encoders, forward",
    "poisson": "read-out, likelihood, gradients",
    "batch": "batch: gathered, hidden, dropped out",
    "random": "noise and masks",
    "lagged": "what the controller sees of its encoder",
    "adamw": "clipping and AdamW",
    REST: "PyTorch operations, Python",
}


def timed_steps(step: Step, n: int) -> list[dict[str, float]]:
    """Seconds of every part of each of `n` steps; `step` is the whole."""
    call, found = Library.call, []
    spent: dict[str, float] = defaultdict(float)

    def timed(library: Library, function: str, *arguments: Any) -> None:  # those of `call`
        began = time.process_time()
        call(library, function, *arguments)
        spent[function] += time.process_time() - began

    with patch.object(Library, "call", timed):
        for _ in range(2 + n):
            spent.clear()
            began = time.process_time()
            step.run()
            whole = time.process_time() - began
            found.append({**spent, REST: whole - sum(spent.values()), "step": whole})
    return found[2:]


def part_of(function: str) -> str:
    """`lagged_backward` belongs to `lagged`."""
    own = [name for name in PARTS if function == name or function.startswith(f"{name}_")]
    if not own:
        raise ValueError(f"the library's {function} has no line in PARTS: add one")
    return own[0]


def medians(steps: list[dict[str, float]]) -> dict[str, float]:
    """Milliseconds of every part, the longest first; that of no call at all is left out."""
    grouped: list[dict[str, float]] = []
    for step in steps:
        parts: dict[str, float] = defaultdict(float)
        for function, seconds in step.items():
            if function != "step":
                parts[part_of(function)] += seconds
        grouped.append(parts)
    names = dict.fromkeys(name for parts in grouped for name in parts)
    found = {name: 1000 * median(parts.get(name, 0.0) for parts in grouped) for name in names}
    return {name: round(found[name], 2) for name in sorted(found, key=lambda n: -found[n])}


def table(result: dict[str, Any]) -> str:
    """For the README."""
    machine, source = result["machine"], result.get("sources")
    revision = "" if source is None else f", revision {source['revision']}"
    if source is not None and source["is_changed"]:
        revision += " (changed)"
    others = machine["other_work_cores"]
    loaded = "" if others is None else f", {others:g} cores held by other work"
    members = "one member" if result["members"] == 1 else f"{result['members']} members"
    lines = [
        f"Shape `{result['shape']}`, {members}, one thread of an {machine['processor']} "
        f"(`{result['backend']}`), medians of",
        f"{result['steps']} steps in processor time{loaded}{revision}:",
        "",
        f"| part of a step of {result['step_ms']:.0f} ms | ms | share |",
        "|---|---|---|",
    ]
    for name, ms in result["parts_ms"].items():
        share = 100 * ms / result["step_ms"]
        lines.append(f"| {PARTS[name]} | {ms:.1f} | {share:.0f} % |")
    return "\n".join(lines) + "\n"


def write_table(result: dict[str, Any], readme: Path) -> None:
    """Between the two marks of the README; ValueError where they are gone."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme}: the marks {BEGIN.strip()} and {END.strip()} are needed")
    readme.write_text(before + BEGIN + table(result) + END + after, encoding="utf-8")


def measured(shape: Shape, members: int, n_steps: int) -> dict[str, Any]:  # JSON values
    step = build(shape, "compiled", members, n_trials=shape.trials)
    others = OtherWork.begin()
    with freed_memory_kept(), threads_for_library():
        steps = timed_steps(step, n_steps)
    return {
        "backend": step.backend,
        "other_work_cores": others.cores(),
        "step_ms": round(1000 * median(each["step"] for each in steps), 1),
        "fastest_step_ms": round(1000 * min(each["step"] for each in steps), 1),
        "parts_ms": medians(steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(SHAPES), default="maze")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--results", type=Path, default=RESULTS)
    add_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    require_quiet(allowed=given.although_loaded)
    shape = SHAPES[given.shape]
    errors = checked(shape)
    found = measured(shape, given.members, given.steps)
    others = found.pop("other_work_cores")
    require_quiet(allowed=given.although_loaded, cores=others)
    result = {
        "what": __doc__.splitlines()[0],
        "machine": {
            "processor": processor(), "cores": os.cpu_count(), "other_work_cores": others,
        },
        "versions": library_versions(),
        **sources(),
        "measured": now_text(),
        "shape": given.shape,
        "members": given.members,
        "threads": 1,
        "steps": given.steps,
        "gradient_error": {key: float(f"{error:.1e}") for key, error in errors.items()},
        **found,
    }  # fmt: skip
    given.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if given.results == RESULTS:
        write_table(result, README)
    print(table(result))


if __name__ == "__main__":
    main()
