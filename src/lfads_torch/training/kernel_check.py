"""Before a run trains: do its kernels give the reference's gradients, here and on its own data?

The reference (`kernels/*/reference.py`) is the definition. What is faster has been tested, but not
on every processor, compiler and GPU, and wrong numbers would train all the same. So a run compares
one batch of a few of its own trials first, at weights drawn anew, in its own shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from lfads_torch.errors import KernelError
from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.training.filed import at_hand
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.state import new_state
from lfads_torch.training.step import step_gradient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from lfads_torch.training.filed import Trials
    from lfads_torch.training.task import Task

__all__ = ["ALLOWED", "N_TRIALS", "KernelCheck", "check_kernels", "require_right_kernels"]

# Norm of the difference of all gradients against their norm, by the precision of the products.
# Tests find a thousandth of that in float32, and a fifth to a tenth in bf16.
ALLOWED: Mapping[str, float] = MappingProxyType({"float32": 1e-3, "tf32": 2e-2, "bf16": 5e-2})
N_TRIALS = 9  # of each session; odd, so that no tile of trials is full
_PLAIN = ("reference", "portable")  # PyTorch operations alone, the same on every machine


@dataclass(frozen=True)
class KernelCheck:
    """How far the kernels' gradient is from the reference's."""

    n_trials: int
    difference: float  # of all weights together, as a share of the gradient's norm
    worst: str  # the weight that is furthest off, by its share of that weight's own norm
    allowed: float
    is_repeatable: bool = True  # False: the reference differs from itself as much

    @property
    def is_right(self) -> bool:
        """Not finite is wrong, too."""
        return self.difference <= self.allowed


def check_kernels(task: Task, trials: tuple[Trials, ...], *, seed: int) -> KernelCheck | None:
    """Compare loss gradients of one batch; `trials` are the training trials of every session.

    None where there is nothing to compare: PyTorch operations, no trials, or a gradient of the
    reference that is zero or not finite.
    """
    if task.kernels.name in _PLAIN:
        return None
    indices = _few(task, trials)
    n_trials = sum(index.shape[1] for index in indices)
    if not n_trials:
        return None
    found = _gradient(task, trials, indices, seed=seed)
    plain = replace(task, kernels=choose_kernels("reference"))
    expected = _gradient(plain, trials, indices, seed=seed)
    norm = expected.norm()
    if not bool(norm.isfinite()) or not bool(norm > 0):
        return None
    check = KernelCheck(
        n_trials,
        float((found - expected).norm() / norm),
        _worst(task, found, expected),
        ALLOWED[task.kernels.precision],
    )
    if check.is_right:
        return check
    again = _gradient(plain, trials, indices, seed=seed)
    return replace(check, is_repeatable=bool((again - expected).norm() <= check.allowed * norm))


def require_right_kernels(task: Task, trials: tuple[Trials, ...], *, seed: int) -> str | None:
    """What the log says of the comparison, None without one. KernelError if they differ."""
    found, name = check_kernels(task, trials, seed=seed), task.kernels.name
    if found is None:
        return None
    what = f"gradients of {found.n_trials} training trials differ by {found.difference:.0e}"
    if found.is_right:
        return f"kernels checked against the reference: {what} of their norm"
    if not found.is_repeatable:
        return (
            "kernels not checked: the reference itself gives other gradients when it is asked "
            "again, as with a plug-in that draws numbers of its own"
        )
    raise KernelError(
        f"kernels: {name} does not compute what the reference does on this machine: {what} of "
        f"their norm ({found.allowed:.0e} is allowed), {found.worst} most. Nothing was trained. "
        "Use --kernels portable (kernels='portable' in Python), which is slower and right; where "
        "the library was compiled here, `make compiled` builds it anew. Please report it with the "
        "output of `lfads inspect --system`."
    )


def _few(task: Task, trials: tuple[Trials, ...]) -> tuple[Tensor, ...]:
    """The first trials of every session, or of the first one where batches are of one session."""
    counts = [min(N_TRIALS, part.n_trials) for part in trials]
    if task.alternates:
        first = next((s for s, n in enumerate(counts) if n), 0)
        counts = [n if s == first else 0 for s, n in enumerate(counts)]
    return tuple(torch.arange(n, device=task.device)[None] for n in counts)


def _gradient(
    task: Task, trials: tuple[Trials, ...], indices: tuple[Tensor, ...], *, seed: int
) -> Tensor:
    """Of one member at its start, in double precision: [n]."""
    own = Hyperparameters.repeated(
        task.loss, task.augmentation, task.training,
        n_members=1, device=task.device, dtype=task.dtype,
    )  # fmt: skip
    nobody = torch.zeros(1, dtype=torch.int64, device=task.device)
    state = new_state(task.layout, own, seed=seed, members=nobody, dtype=task.dtype)
    resident, places = at_hand(trials, indices)
    return step_gradient(state, task, resident, places, seed=seed).gradient[0].double()


def _worst(task: Task, found: Tensor, expected: Tensor) -> str:
    """The name of the weight whose gradient is furthest off, by its own norm."""
    views = (task.layout.views(each[None]) for each in (found, expected))
    ours, theirs = views
    shares = {
        name: float((ours[name] - theirs[name]).norm() / theirs[name].norm().clamp_min(1e-30))
        for name in ours
    }
    return max(shares, key=lambda name: (shares[name] != shares[name], shares[name]))
