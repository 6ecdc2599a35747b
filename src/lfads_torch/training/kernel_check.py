"""Before a run trains: do its kernels give the gradients that they must, here and on its own data?

The reference (`kernels/*/reference.py`) is the definition. What is faster has been tested, but not
on every processor, compiler and GPU, and wrong numbers would train all the same. So a run compares
one small batch of its own trials first, at weights drawn anew, in its own shapes. What a gradient
does not pass through is not compared: the optimiser, scores and recorded steps.

In a lower precision two questions are kept apart. Whether the kernels are right is asked of what
rounds as they do: the `generic` instruction set has the definition of bf16 on a CPU, and Triton's
precisions share their code. How far rounding moves the gradient is a matter of the data, and told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from lfads_torch.errors import KernelError
from lfads_torch.kernels.choose import Kernels, choose_kernels, with_own_generator
from lfads_torch.model.layout import Layout
from lfads_torch.training.filed import at_hand
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.state import new_state
from lfads_torch.training.step import step_gradient

if TYPE_CHECKING:
    from torch import Tensor

    from lfads_torch.training.filed import Trials
    from lfads_torch.training.resident import ResidentTrials
    from lfads_torch.training.task import Task

__all__ = [
    "ALLOWED",
    "ALLOWED_ROUNDED",
    "MUCH_ROUNDING",
    "N_TRIALS",
    "KernelCheck",
    "check_kernels",
    "kernel_remedy",
    "require_right_kernels",
    "rounding_of",
]

N_TRIALS = 33  # of all sessions together, no more than a batch: a full tile of 32 and an edge
# Difference of one weight's gradient as a share of its norm, or of a hundredth of the norm of all.
# Orders of float32 sums make about 1e-6; between instruction sets bf16 rounds a state otherwise
# now and then, which makes thousandths.
ALLOWED, ALLOWED_ROUNDED = 1e-3, 5e-2
MUCH_ROUNDING = 5e-2  # of the norm of all gradients; counts and scaled signals have thousandths
_LEAST_SHARE = 0.01
_PLAIN = ("reference", "portable")  # PyTorch operations alone, the same on every machine


@dataclass(frozen=True)
class KernelCheck:
    """How far the kernels' gradient is from that of the kernels which judge them."""

    judge: str  # in words
    n_trials: int
    difference: float  # of the weight that is furthest off
    worst: str  # its name
    allowed: float
    is_repeatable: bool = True  # False: the judge differs from itself, too

    @property
    def is_right(self) -> bool:
        """Not finite is wrong, too."""
        return self.difference <= self.allowed


def check_kernels(task: Task, trials: tuple[Trials, ...], *, seed: int) -> KernelCheck | None:
    """Compare the gradients of one batch; `trials` are training trials of every session.

    None where there is nothing to compare: PyTorch operations, no trials, or a gradient of the
    judge that is zero or not finite.
    """
    return _checked(task, _Batch.of(task, trials, seed=seed))


def _checked(task: Task, batch: _Batch) -> KernelCheck | None:
    if task.kernels.name in _PLAIN or not batch.n_trials:
        return None
    judged, judge, allowed = _sides(task)
    expected = batch.gradient(judge)
    norm = expected.norm()
    if not bool(norm.isfinite()) or not bool(norm > 0):
        return None
    worst, difference = _furthest(task.layout, batch.gradient(judged), expected)
    told = "the reference" if judge.name == "reference" else judge.name
    check = KernelCheck(told, batch.n_trials, difference, worst, allowed)
    if check.is_right:
        return check
    _, again = _furthest(task.layout, batch.gradient(judge), expected)
    return replace(check, is_repeatable=again <= 0.1 * allowed)


def rounding_of(task: Task, trials: tuple[Trials, ...], *, seed: int) -> float | None:
    """How far the gradient in a lower precision is from the reference's, as a share of its norm.

    None in float32, and where there is nothing to compare.
    """
    return _rounding(task, _Batch.of(task, trials, seed=seed))


def _rounding(task: Task, batch: _Batch) -> float | None:
    if task.kernels.precision == "float32" or not batch.n_trials:
        return None
    expected = batch.gradient(choose_kernels("reference"))
    share = float((batch.gradient(task.kernels) - expected).norm() / expected.norm())
    return share if share < float("inf") else None


def require_right_kernels(task: Task, trials: tuple[Trials, ...], *, seed: int) -> tuple[str, ...]:
    """What the log says of the comparison. KernelError where the kernels are wrong."""
    batch, name = _Batch.of(task, trials, seed=seed), task.kernels.name
    found = _checked(task, batch)
    if found is None:
        return ()
    if not found.is_right and not found.is_repeatable:
        return (
            f"kernels not checked: {found.judge} itself gives other gradients when it is asked "
            "again, as with a plug-in that draws numbers of its own",
        )
    if not found.is_right:
        remedy = kernel_remedy(task)
        argument, value = remedy.removeprefix("--").split()
        raise KernelError(
            f"kernels: {name} does not compute what {found.judge} does on this machine: on "
            f"{found.n_trials} training trials the gradient of {found.worst} differs by "
            f"{found.difference:.0e} of its norm, and {found.allowed:.0e} is allowed. Nothing was "
            f"trained with it. Use {remedy} ({argument}='{value}' in Python); a library that was "
            "compiled here is built anew by `make compiled`. Please report it with the output of "
            "`lfads inspect --system`."
        )
    told = (
        f"kernels checked against {found.judge} on {found.n_trials} training trials: gradients "
        f"differ by {found.difference:.0e} of a weight's norm at most",
    )
    share = _rounding(task, batch)
    return told if share is None else (*told, _told_of_rounding(task.kernels.precision, share))


def kernel_remedy(task: Task) -> str:
    """Options with which the same run computes right, on the command line."""
    return "--kernels portable" if task.kernels.precision == "float32" else "--precision float32"


def _told_of_rounding(precision: str, share: float) -> str:
    told = f"{precision} moves the gradients by {share:.0e} of their norm from those of float32"
    if share <= MUCH_ROUNDING:
        return told
    return (
        f"{told}, which is much: the values of the data may be large or of very different sizes. "
        "Scale the signals, or use --precision float32 (precision='float32' in Python)"
    )


def _sides(task: Task) -> tuple[Kernels, Kernels, float]:
    """Who is judged, by whom, and what may lie between them."""
    backend, _, kind = task.kernels.name.partition("-")
    if task.kernels.precision == "float32":
        return task.kernels, choose_kernels("reference"), ALLOWED
    if backend == "compiled" and kind != "generic-bf16":
        return task.kernels, choose_kernels("compiled-generic-bf16"), ALLOWED_ROUNDED
    plain = "compiled-generic" if backend == "compiled" else "triton"
    usual = choose_kernels(plain, device=task.device, dtype=task.dtype)
    if task.parts.generator is not None:
        usual = with_own_generator(usual, task.model.generator)
    return usual, choose_kernels("reference"), ALLOWED


@dataclass(frozen=True)
class _Batch:
    """A few trials, and the task as it begins: without weights of another run."""

    task: Task
    trials: tuple[ResidentTrials, ...]
    indices: tuple[Tensor, ...]
    n_trials: int
    seed: int

    @classmethod
    def of(cls, task: Task, trials: tuple[Trials, ...], *, seed: int) -> _Batch:
        indices = _few(task, trials)
        resident, places = at_hand(trials, indices)
        drawn = Layout(tuple(replace(spec, start=None) for spec in task.layout.specs))
        n_trials = sum(index.shape[1] for index in indices)
        return cls(replace(task, layout=drawn), resident, places, n_trials, seed)

    def gradient(self, kernels: Kernels) -> Tensor:
        """Of the first member at its start, in double precision: [n]."""
        task = replace(self.task, kernels=kernels)
        own = Hyperparameters.repeated(
            task.loss, task.augmentation, task.training,
            n_members=1, device=task.device, dtype=task.dtype,
        )  # fmt: skip
        first = torch.zeros(1, dtype=torch.int64, device=task.device)
        state = new_state(task.layout, own, seed=self.seed, members=first, dtype=task.dtype)
        with _whole_products():
            found = step_gradient(state, task, self.trials, self.indices, seed=self.seed)
        return found.gradient[0].double()


def _few(task: Task, trials: tuple[Trials, ...]) -> tuple[Tensor, ...]:
    """Positions of the first trials of every session, or of one where each batch is of one."""
    left, positions = min(N_TRIALS, max(task.training.batch_size, 1)), []
    n_sessions = sum(part.n_trials > 0 for part in trials)
    each = left if task.alternates else -(-left // max(n_sessions, 1))
    for part in trials:
        n = min(each, left, part.n_trials)
        left = 0 if task.alternates and n else left - n
        positions.append(torch.arange(n, device=task.device)[None])
    return tuple(positions)


@contextmanager
def _whole_products() -> Iterator[None]:
    """PyTorch's own float32 products in float32, whatever the user has set for them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _furthest(layout: Layout, found: Tensor, expected: Tensor) -> tuple[str, float]:
    """The weight whose gradient is furthest off, and by which share; infinite where it is NaN."""
    ours, theirs = layout.views(found[None]), layout.views(expected[None])
    least = _LEAST_SHARE * expected.norm()
    shares = {
        name: ((ours[name] - theirs[name]).norm() / theirs[name].norm().clamp_min(least))
        .nan_to_num(nan=float("inf"))
        .item()
        for name in ours
    }
    worst = max(shares, key=lambda name: shares[name])
    return worst, shares[worst]
