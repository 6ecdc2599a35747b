"""Kernels that compute something else than the reference are found before anything trains."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.errors import KernelError
from lfads_torch.kernels.choose import Kernels
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.model.layout import GivenStart
from lfads_torch.training.kernel_check import (
    N_TRIALS,
    check_kernels,
    kernel_remedy,
    require_right_kernels,
    rounding_of,
)
from lfads_torch.training.task import Task

LIBRARY = find_library()
needs_library = pytest.mark.skipif(
    isinstance(LIBRARY, Absent), reason=getattr(LIBRARY, "reason", "there is a library")
)
DROPS = {"dropout_rate": 0.2, "coordinated_dropout_rate": 0.4}
CASES = {
    "plain": Tiny(dtype=torch.float32),
    "dropped": Tiny(dtype=torch.float32, augmentation=DROPS),
    "missing": Tiny(dtype=torch.float32, missing_share=0.3),
    "free": Tiny(dtype=torch.float32, model={"n_inferred_inputs": 0}),
    "one bin": Tiny(dtype=torch.float32, n_bins=1, n_encoded_bins=1, n_units=33,
                    encoded_units=tuple(range(33))),
    "gaussian": Tiny(dtype=torch.float32, observation="gaussian"),
    "small clip": Tiny(dtype=torch.float32, model={"cell_clip": 0.4}),
    "small batches": Tiny(dtype=torch.float32, training={"batch_size": 3}),
}  # fmt: skip


def states_times(kernels: Kernels, factor: float, name: str = "compiled-wrong") -> Kernels:
    """Encoder states that are off by a factor, and their gradients with them."""
    right = kernels.gru_scan
    return replace(
        kernels,
        name=name,
        gru_scan=lambda *arguments, **options: factor * right(*arguments, **options),
        gru_ends=None,
    )


def off_by(factor: float) -> Task:
    task = Tiny().task()
    return replace(task, kernels=states_times(task.kernels, factor))


@pytest.mark.parametrize("name", ["reference", "portable"])
def test_pytorch_operations_are_not_compared(name):
    task = Tiny(kernels=name).task()
    assert check_kernels(task, (Tiny().trials(),), seed=1) is None
    assert require_right_kernels(task, (Tiny().trials(),), seed=1) == ()


def test_wrong_states_are_refused_with_the_difference_and_what_to_do():
    trials = (Tiny().trials(3),)
    with pytest.raises(KernelError, match="compiled-wrong does not compute") as raised:
        require_right_kernels(off_by(1.05), trials, seed=1)
    for told in (
        "3 training trials",
        "1e-03 is allowed",
        "Nothing was trained",
        "kernels='portable' in",
    ):
        assert told in str(raised.value)


def test_a_difference_within_the_allowed_one_is_told():
    (told,) = require_right_kernels(off_by(1.0 + 1e-7), (Tiny().trials(),), seed=1)
    assert told.startswith("kernels checked against the reference on 4 training trials")


def test_one_wrong_weight_is_found_and_named_although_its_gradient_is_small():
    task = Tiny(loss={"l2_generator_scale": 1e3}).task()  # most of the gradient is the penalty's
    right = task.kernels.decoder_scan

    def wrong(given, weights, *, clip):
        # Its value stays; of the controller's gradient a tenth is lost.
        cell = weights.controller.cell
        bias = cell.bias.detach() + 0.9 * (cell.bias - cell.bias.detach())
        controller = replace(weights.controller, cell=replace(cell, bias=bias))
        return right(given, replace(weights, controller=controller), clip=clip)

    broken = replace(task.kernels, name="compiled-wrong", decoder_scan=wrong)
    found = check_kernels(replace(task, kernels=broken), (Tiny().trials(),), seed=1)
    assert not found.is_right
    assert found.worst == "controller.bias"


def test_gradients_that_are_not_finite_are_wrong():
    found = check_kernels(off_by(math.nan), (Tiny().trials(),), seed=1)
    assert math.isinf(found.difference)
    assert not found.is_right


@pytest.mark.parametrize(("batch_size", "n"), [(256, N_TRIALS), (7, 7)])
def test_no_more_trials_are_taken_than_a_tile_or_a_batch(batch_size, n):
    tiny = Tiny(training={"batch_size": batch_size})
    task = tiny.task()
    task = replace(task, kernels=states_times(task.kernels, 1.0))
    assert check_kernels(task, (tiny.trials(50),), seed=1).n_trials == n


def test_a_session_without_training_trials_is_nothing_to_compare():
    none = Tiny().trials().take(torch.arange(0))
    assert check_kernels(off_by(1.0), (none,), seed=1) is None


def test_weights_of_another_run_do_not_enter():
    task = off_by(1.05)
    first = task.layout.specs[0]
    start = GivenStart(torch.full(first.shape, math.nan), torch.ones(first.shape, dtype=torch.bool))
    given = replace(task.layout, specs=(replace(first, start=start), *task.layout.specs[1:]))
    usual = check_kernels(task, (Tiny().trials(),), seed=1)
    assert check_kernels(replace(task, layout=given), (Tiny().trials(),), seed=1) == usual


def test_the_users_numbers_and_precision_of_products_stay():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        check_kernels(off_by(1.05), (Tiny().trials(),), seed=1)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(torch.rand(3), expected)


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
    task = off_by(1.0)
    changing = replace(task.augmentation, order="capricious_lab:Capricious")
    (told,) = require_right_kernels(
        replace(task, augmentation=changing), (Tiny().trials(),), seed=1
    )
    assert told.startswith("kernels not checked: the reference itself gives other gradients")


@needs_library
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "kernels", ["compiled", "compiled-generic", "compiled-bf16", "compiled-generic-bf16"]
)
def test_the_compiled_kernels_are_right_here(name, kernels):
    tiny = replace(CASES[name], kernels=kernels)
    found = check_kernels(tiny.task(), (tiny.trials(35),), seed=2)
    assert found.is_right
    # Far from what is allowed, or the check would cry wolf on somebody's data.
    assert found.difference < 0.2 * found.allowed


@needs_library
@pytest.mark.parametrize("emulated", ["avx512_emulated", "amx_emulated-bf16"])
def test_instruction_sets_that_this_machine_lacks_are_right_in_emulation(emulated):
    if emulated.partition("-")[0] not in LIBRARY.emulated:
        pytest.skip("the library was built without the emulated instruction sets")
    tiny = replace(CASES["plain"], kernels=f"compiled-{emulated}")
    assert check_kernels(tiny.task(), (tiny.trials(35),), seed=2).is_right


@needs_library
def test_what_bf16_rounds_away_is_told_and_no_fault_of_the_kernels():
    tiny = replace(CASES["gaussian"], kernels="compiled-bf16")
    task, trials = tiny.task(), tiny.trials(9)
    assert rounding_of(task, (trials,), seed=1) < 0.02
    _, told = require_right_kernels(task, (trials,), seed=1)
    assert told.startswith("bf16 moves the gradients by")
    assert "much" not in told
    large = replace(trials, counts=1000.0 * trials.counts)
    _, warned = require_right_kernels(task, (large,), seed=1)
    assert "which is much" in warned
    assert "--precision float32" in warned


@needs_library
def test_wrong_kernels_of_a_lower_precision_are_told_from_rounding():
    tiny = replace(CASES["plain"], kernels="compiled-bf16")
    task = tiny.task()
    wrong = replace(task, kernels=states_times(task.kernels, 1.2, "compiled-amx-bf16"))
    with pytest.raises(KernelError, match=r"compiled-generic-bf16 does.*--precision float32"):
        require_right_kernels(wrong, (tiny.trials(9),), seed=1)
    assert kernel_remedy(wrong) == "--precision float32"


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
        require_right_kernels(replace(task, kernels=broken), (CASES["plain"].trials(33),), seed=1)
