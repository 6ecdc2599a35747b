"""Compile every Triton kernel of a training step for a GPU that is not there; registers and spills.

    PYTHONPATH=src python benchmarks/gpu_compile.py

Needs PyTorch, Triton and NumPy alone. A training step and a score of the maze model run on the
processor with every launch replaced by compiling what it would start, in each precision; their
numbers mean nothing.
Triton's own assembler tells what a thread needs. The exit code is 1 where a kernel needs more stack
than --stack bytes. Nothing is run on a GPU, and nothing is timed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from gpu_cases import CPU, MAZE, SEED, TINY
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from lfads_torch.kernels.choose import Kernels
from lfads_torch.kernels.triton import adamw, decoder, gru, poisson
from lfads_torch.kernels.triton.precision import PRECISIONS, Products
from lfads_torch.kernels.triton.random import TritonDraw
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.step import training_step

PTXAS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"


@dataclass(frozen=True)
class AbsentGPU:
    """What Triton asks of a device, for one that is only compiled for."""

    capability: int  # 90: H100, H200

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return CPU


@dataclass(frozen=True)
class Compiled:
    """A kernel with its constants: what a thread and a program need."""

    name: str
    registers: int
    stack: int  # bytes
    shared: int  # bytes

    def line(self) -> str:
        return (
            f"{self.name:20} {self.registers:4} registers {self.stack:4} bytes of stack "
            f"{self.shared / 1024:6.1f} KB shared"
        )


@contextmanager
def only_compiled(capability: int) -> Iterator[list[Compiled]]:
    """Within, a launch compiles the kernel and does nothing else; the list says which they were."""
    made: dict[int, Any] = {}
    found: list[Compiled] = []
    run = JITFunction.run

    def compile_alone(
        self: JITFunction, *args: Any, grid: Any, warmup: bool, **options: Any
    ) -> None:
        kernel = run(self, *args, grid=grid, warmup=True, **options)
        if id(kernel) not in made:
            made[id(kernel)] = kernel
            found.append(_assembled(kernel, capability))

    with ExitStack() as stack:
        for module in ("adamw", "decoder", "gru", "poisson"):
            name = f"lfads_torch.kernels.triton.{module}.computes"
            stack.enter_context(patch(name, _has_entries))
        stack.enter_context(patch.object(JITFunction, "run", compile_alone))
        yield found


def _has_entries(tensors: Any) -> bool:
    return all(t.dtype == torch.float32 and t.numel() > 0 for t in tensors)


def _assembled(kernel: Any, capability: int) -> Compiled:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(kernel.asm["ptx"], encoding="utf-8")
        suffix = "a" if capability >= 90 else ""
        command = [PTXAS, "-v", f"-arch=sm_{capability}{suffix}", source, "-o", "/dev/null"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stderr

    def number(pattern: str) -> int:
        return int(re.findall(pattern, told)[0])

    return Compiled(
        kernel.metadata.name, number(r"Used (\d+) registers"), number(r"(\d+) bytes stack frame"),
        kernel.metadata.shared,
    )  # fmt: skip


def one_step(precision: str, *, tiny: bool) -> None:
    """A training step and a score of a population, with all that they launch.

    Of the maze model with few bins, whose number no kernel knows when it is compiled.
    """
    short = replace(MAZE, train=256, valid=64, encoded_bins=3, bins=5)
    shapes, products = TINY if tiny else short, Products(precision)
    task = shapes.task("reference", CPU)
    kernels = Kernels(
        f"triton-{precision}",
        "only compiled",
        gru.TritonGRU(products),
        decoder.TritonDecoder(products),
        poisson=poisson.TritonPoisson(products),
        poisson_score=poisson.TritonPoisson(Products("float32")),
        adamw=adamw.adamw,
        precision=precision,
    )
    task = replace(task, kernels=kernels)
    state, data = shapes.state(task, shapes.members), shapes.data(task)
    training_step(state, task, data.train, shapes.index(CPU, shapes.members), seed=SEED)
    validation_reconstruction(state, task, data.valid, seed=SEED)


def random_numbers() -> None:
    members, rows = torch.tensor([0, 1]), torch.tensor([[0, 1], [2, 3]])
    draw = TritonDraw((SEED, SEED), torch.tensor([0]), members, rows)
    limits, scale = torch.tensor([9, 9]), torch.ones(2)
    draw.bits(33)
    draw.normal(33)
    draw.keep(33, limits)
    draw.mask(33, limits, scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capability", type=int, default=90, help="90: H100, H200")
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    parser.add_argument("--stack", type=int, default=64, help="bytes that a thread may have")
    parser.add_argument("--tiny", action="store_true", help="sizes of a few units")
    given = parser.parse_args()
    failed = False
    driver.set_active(AbsentGPU(given.capability))
    for precision in given.precision or PRECISIONS:
        print(f"sm_{given.capability}, Triton {triton.__version__}, {precision}", flush=True)
        with only_compiled(given.capability) as found:
            one_step(precision, tiny=given.tiny)
            random_numbers()
        for each in found:
            failed |= each.stack > given.stack
            print(f"  {each.line()}", flush=True)
    if failed:
        sys.exit(f"gpu_compile: a kernel needs more than {given.stack} bytes of stack a thread")


if __name__ == "__main__":
    main()
