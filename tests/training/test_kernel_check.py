"""Kernels that compute something else than the reference are found before anything trains."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.errors import KernelError
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.training.kernel_check import (
    ALLOWED,
    N_TRIALS,
    check_kernels,
    require_right_kernels,
)

LIBRARY = find_library()
needs_library = pytest.mark.skipif(
    isinstance(LIBRARY, Absent), reason=getattr(LIBRARY, "reason", "there is a library")
)
CASES = {
    "plain": Tiny(dtype=torch.float32),
    "missing": Tiny(dtype=torch.float32, missing_share=0.3),
    "free": Tiny(dtype=torch.float32, model={"n_inferred_inputs": 0}),
    "one bin": Tiny(dtype=torch.float32, n_bins=1, n_encoded_bins=1, n_units=33,
                    encoded_units=tuple(range(33))),
    "gaussian": Tiny(dtype=torch.float32, observation="gaussian"),
    "small clip": Tiny(dtype=torch.float32, model={"cell_clip": 0.4}),
}  # fmt: skip


def task_with_states_times(factor: float, precision: str = "float32"):
    """Kernels whose encoder states are off by a factor; that of the gradient follows."""
    task = Tiny().task()
    right = task.kernels.gru_scan
    wrong = replace(
        task.kernels,
        name="compiled-wrong",
        gru_scan=lambda *arguments, **options: factor * right(*arguments, **options),
        precision=precision,
    )
    return replace(task, kernels=wrong)


@pytest.mark.parametrize("name", ["reference", "portable"])
def test_pytorch_operations_are_not_compared(name):
    task = Tiny(kernels=name).task()
    assert check_kernels(task, (Tiny().trials(),), seed=1) is None
    assert require_right_kernels(task, (Tiny().trials(),), seed=1) is None


def test_wrong_states_are_refused_with_the_difference_and_what_to_do():
    trials = (Tiny().trials(3),)
    with pytest.raises(KernelError, match="compiled-wrong does not compute") as raised:
        require_right_kernels(task_with_states_times(1.05), trials, seed=1)
    for told in ("3 training trials", "1e-03 is allowed", "Nothing was trained", "portable"):
        assert told in str(raised.value)


def test_a_difference_within_the_allowed_one_is_told():
    told = require_right_kernels(task_with_states_times(1.0 + 1e-6), (Tiny().trials(),), seed=1)
    assert told is not None
    assert "checked against the reference: gradients of 4" in told


def test_the_precision_decides_what_is_allowed():
    trials = (Tiny().trials(),)
    found = {
        name: check_kernels(task_with_states_times(1.004, name), trials, seed=1) for name in ALLOWED
    }
    assert {name: each.is_right for name, each in found.items()} == {
        "float32": False, "tf32": True, "bf16": True,
    }  # fmt: skip


def test_the_weight_that_is_furthest_off_is_named():
    task = Tiny().task()
    right = task.kernels.decoder_scan

    def wrong(given, weights, *, clip):
        found = right(given, weights, clip=clip)
        return replace(found, factors=1.5 * found.factors)

    broken = replace(task.kernels, name="compiled-wrong", decoder_scan=wrong)
    found = check_kernels(replace(task, kernels=broken), (Tiny().trials(),), seed=1)
    assert not found.is_right
    assert found.worst in task.layout.offsets


CAPRICIOUS = """
import itertools
from dataclasses import replace

from lfads_torch.training.augment import Augmentation


class Capricious(Augmentation):
    calls = itertools.count(1)

    def __call__(self, batch, noise, rates, *, site):
        return replace(batch, counts=batch.counts * next(self.calls))
"""


def test_numbers_that_are_other_ones_each_time_are_no_fault_of_the_kernels(tmp_path, monkeypatch):
    (tmp_path / "capricious_lab.py").write_text(CAPRICIOUS)
    monkeypatch.syspath_prepend(str(tmp_path))
    task = task_with_states_times(1.0)
    changing = replace(task.augmentation, order="capricious_lab:Capricious")
    told = require_right_kernels(replace(task, augmentation=changing), (Tiny().trials(),), seed=1)
    assert told is not None
    assert told.startswith("kernels not checked: the reference itself gives other gradients")


def test_gradients_that_are_not_finite_are_wrong():
    found = check_kernels(task_with_states_times(float("nan")), (Tiny().trials(),), seed=1)
    assert not found.is_right


def test_no_more_trials_are_taken_than_needed():
    found = check_kernels(task_with_states_times(1.0), (Tiny().trials(33),), seed=1)
    assert found.n_trials == N_TRIALS


def test_a_session_without_training_trials_is_nothing_to_compare():
    none = Tiny().trials().take(torch.arange(0))
    assert check_kernels(task_with_states_times(1.0), (none,), seed=1) is None


@needs_library
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kernels", ["compiled", "compiled-generic", "compiled-bf16"])
def test_the_compiled_kernels_are_right_here(name, kernels):
    tiny = replace(CASES[name], kernels=kernels)
    found = check_kernels(tiny.task(), (tiny.trials(5),), seed=2)
    assert found.is_right
    # Far from what is allowed, or the check would cry wolf on somebody's data.
    assert found.difference < 0.4 * found.allowed


@needs_library
def test_compiled_kernels_that_lose_the_edge_of_a_tile_are_found():
    task = replace(CASES["plain"], kernels="compiled").task()
    right = task.kernels.gru_scan

    def wrong(*arguments, **options):
        states = right(*arguments, **options)
        last = torch.arange(states.shape[3]) == states.shape[3] - 1
        return torch.where(last[:, None], 0.0, states)  # the last trial of a tile that is not full

    broken = replace(task.kernels, gru_scan=wrong)
    with pytest.raises(KernelError):
        require_right_kernels(replace(task, kernels=broken), (CASES["plain"].trials(9),), seed=1)
