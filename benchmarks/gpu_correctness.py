"""Every Triton kernel against the definition in float64; see gpu_check.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from gpu_cases import CPU, SEED, Shapes, relative_error
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import decoder_cases
import gru_cases
import poisson_cases

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import reference as gru_reference
from lfads_torch.kernels.triton.random import TritonDraw
from lfads_torch.training.state import PopulationState
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams, site_key
from lfads_torch.training.task import Task

__all__ = ["Check", "checks"]

PRECISIONS = ("float32", "tf32", "bf16")
# Of a scan with its gradients, and of the gradient of a whole step.
LIMITS = {"float32": (2e-5, 2e-4), "tf32": (3e-3, 1e-2), "bf16": (3e-2, 5e-2)}
GRU_SHAPES = [(1, 1, 1, 1, 1), (3, 5, 33, 7, 17), (2, 3, 65, 0, 64), (20, 35, 256, 137, 64)]
DECODER_SIZES = {
    "ones": decoder_cases.Sizes(1, 1, 1, 1, 1, 1, 0, 1, 1),
    "odd": decoder_cases.Sizes(3, 7, 33, 3, 17, 3, 2, 33, 5),
    "free": decoder_cases.Sizes(2, 9, 33, 0, 0, 0, 2, 65, 5),
    "maze": decoder_cases.Sizes(20, 45, 256, 128, 64, 4, 0, 200, 100),
}
# Members, bins, trials, factors, units; and which masks there are.
POISSON_CASES = (
    ((1, 1, 1, 1, 1), ""), ((3, 5, 33, 3, 17), "present and gradient"),
    ((2, 7, 1, 65, 33), "gradient"), ((20, 45, 256, 100, 182), "gradient"),
)  # fmt: skip
# Name, and whether there are masks and noise.
DECODER_CASES = (
    ("ones", True), ("odd", True), ("odd", False), ("free", True), ("maze", True),
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What was found, and what is allowed."""

    name: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.error <= self.limit


def checks(shapes: Shapes, device: torch.device, *, tiny: bool) -> Iterator[Check]:
    """One after the other, so that what was done is kept if time runs out."""
    yield from random_checks(device)
    for precision in PRECISIONS:
        yield from gru_checks(precision, device, tiny=tiny)
        yield from decoder_checks(precision, device, tiny=tiny)
        yield from poisson_checks(precision, device, tiny=tiny)
    yield from step_checks(shapes, device, tiny=tiny)
    if device.type == "cuda":
        yield graph_check(shapes, device)


def random_checks(device: torch.device) -> Iterator[Check]:
    members, rows = torch.tensor([0, 7]), torch.tensor([[0, 5, 9], [1, 1, 3_000_000_000]])
    rate, key = torch.tensor([0.0, 0.4]), (SEED, site_key("check"))
    streams = Streams(SEED, members)
    draw = TritonDraw(key, torch.tensor([3], device=device), members.to(device), rows.to(device))
    words = (draw.bits(101).cpu() != streams.bits("check", 3, rows, 101)).sum()
    yield Check("random words that differ", float(words), 0.0)
    limits = torch.ceil((1.0 - rate.double()) * 65536.0).to(torch.int64).to(device)
    kept = (draw.keep(101, limits).cpu() != streams.keep("check", 3, rows, 101, rate)).sum()
    yield Check("masks that differ", float(kept), 0.0)
    normals = (draw.normal(101).cpu() - streams.normal("check", 3, rows, 101)).abs().max()
    yield Check("normals, largest difference", float(normals), 1e-6)


def gru_checks(precision: str, device: torch.device, *, tiny: bool) -> Iterator[Check]:
    """All shapes in float32, then the largest alone: compiling takes most of the time.

    The largest has small states, which never reach the clip: of its millions of states some come so
    close that rounding decides whether the clip acts, and the gradient jumps there.
    """
    scan = choose_kernels(f"triton-{precision}", device=device).gru_scan
    shapes = GRU_SHAPES if precision == "float32" else GRU_SHAPES[-1:]
    for shape in GRU_SHAPES[:1] if tiny else shapes:
        is_largest = shape == GRU_SHAPES[-1]
        for clip in (5.0,) if tiny or is_largest else (5.0, 0.5):
            case = gru_cases.random_case(shape, clip=clip)
            if is_largest:
                case = replace(case, initial_state=0.1 * case.initial_state)
            case = case.with_tensors([t.float().to(device) for t in case.tensors()])
            exact = case.with_tensors([t.double() for t in case.tensors()])
            truth = gru_cases.values_and_gradients(exact, gru_reference.gru_scan)
            found = gru_cases.values_and_gradients(case, scan)
            name = f"encoder scan {shape}, clip {clip}, {precision}"
            yield Check(name, relative_error(found, truth), LIMITS[precision][0])


def decoder_checks(precision: str, device: torch.device, *, tiny: bool) -> Iterator[Check]:
    scan = choose_kernels(f"triton-{precision}", device=device).decoder_scan
    wanted = DECODER_CASES if precision == "float32" else DECODER_CASES[-1:]
    for name, fixed in DECODER_CASES[:1] if tiny else wanted:
        case = quiet(decoder_cases.random_case(DECODER_SIZES[name], fixed=fixed))
        case = case.map(lambda t: t.float().to(device))
        truth = decoder_cases.values_and_gradients(
            case.map(Tensor.double), decoder_reference.decoder_scan
        )
        found = decoder_cases.values_and_gradients(case, scan)
        error = relative_error(found.values(), truth.values())
        which = "masks and noise" if fixed else "means"
        yield Check(f"decoder scan {name}, {which}, {precision}", error, LIMITS[precision][0])


def poisson_checks(precision: str, device: torch.device, *, tiny: bool) -> Iterator[Check]:
    """The largest error of the sums and their three gradients, each in Euclidean norm."""
    kernel = choose_kernels(f"triton-{precision}", device=device).poisson
    wanted = POISSON_CASES if precision == "float32" else POISSON_CASES[-1:]
    for sizes, masks in POISSON_CASES[1:2] if tiny else wanted:
        case = poisson_cases.random_case(sizes, masks).to(torch.float32, device)
        exact = case.to(torch.float64)
        truth = poisson_cases.values_and_gradients(exact, poisson_cases.definition)
        found = poisson_cases.values_and_gradients(case, kernel)
        error = max(relative_error([found[name]], [truth[name]]) for name in truth)
        name = f"read-out and likelihood {sizes}, masks: {masks or 'none'}, {precision}"
        yield Check(name, error, LIMITS[precision][0])


def quiet(case: decoder_cases.Case) -> decoder_cases.Case:
    """Small states: rounding of operands is then not magnified by exponentials."""
    small = ("generator_state", "control_start", "output_bias")
    tensors = {k: v * 0.1 if k in small else v for k, v in case.tensors.items()}
    return replace(case, tensors=tensors)


def step_checks(shapes: Shapes, device: torch.device, *, tiny: bool) -> Iterator[Check]:
    """The gradient of a whole training step, as the first moment holds it up to a factor."""
    members = 2
    truth = first_moment(shapes, "reference", CPU, torch.float64, members)
    for precision in PRECISIONS[:1] if tiny else PRECISIONS:
        found = first_moment(shapes, f"triton-{precision}", device, torch.float32, members)
        error = relative_error([found], [truth])
        yield Check(f"gradient of a step, {precision}", error, LIMITS[precision][1])


def first_moment(
    shapes: Shapes, backend: str, device: torch.device, dtype: torch.dtype, members: int
) -> Tensor:
    task = shapes.task(backend, device, dtype)
    state, data = shapes.state(task, members), shapes.data(task)
    training_step(state, task, data.train, shapes.index(device, members), seed=SEED)
    return state.moment1


def graph_check(shapes: Shapes, device: torch.device) -> Check:
    """Entries that differ between four steps one by one and the same from a recording."""
    task = shapes.task("triton-float32", device)
    first = shapes.state(task, 3)
    one_by_one, replayed = first.copy(), first.copy()
    data, batches = shapes.data(task), [shapes.index(device, 3)] * 4
    for batch in batches:
        training_step(one_by_one, task, data.train, batch, seed=SEED)
    found = task.graphs.epoch(
        replayed, task, data.train, batches, seed=SEED, chain=chain(task, first)
    )
    if found is None:
        return Check(f"recorded steps: {task.graphs.refusal}", float("nan"), 0.0)
    differ = (one_by_one.weights != replayed.weights).sum() + (
        one_by_one.moment2 != replayed.moment2
    ).sum()
    return Check("entries that differ between recorded and single steps", float(differ), 0.0)


def chain(task: Task, state: PopulationState) -> tuple:
    from lfads_torch.training.prepare import augmentations

    return augmentations(task, state.hyperparameters)
