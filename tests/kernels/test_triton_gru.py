"""The encoder recurrence in Triton against the reference in float64."""

from __future__ import annotations

from dataclasses import replace

import gru_cases
import pytest
import torch
from gru_cases import Case, random_case
from torch import Tensor
from triton_interpreter import relative_errors, require_interpreter, total_error

require_interpreter()

from lfads_torch.kernels.gru import portable, reference  # noqa: E402
from lfads_torch.kernels.triton.gru import TritonGRU  # noqa: E402
from lfads_torch.kernels.triton.precision import PRECISIONS, Cut, Products  # noqa: E402

NAMES = ("states", "x", "initial state", "input", "recurrent", "bias")
SMALL = Cut(16, 16, 16)  # several columns and several steps of every product
FLOAT32 = TritonGRU(Products("float32"))


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel leaves unwritten shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def values(case: Case, scan) -> dict[str, Tensor]:
    return dict(zip(NAMES, gru_cases.values_and_gradients(case, scan), strict=True))


def single_and_truth(*arguments, **options) -> tuple[Case, dict[str, Tensor]]:
    case = random_case(*arguments, **options)
    single = case.with_tensors([t.float() for t in case.tensors()])
    exact = single.with_tensors([t.double() for t in single.tensors()])
    return single, values(exact, reference.gru_scan)


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((1, 1, 1, 1, 1), None),
        ((3, 5, 1, 7, 4), None),
        ((2, 3, 17, 3, 5), SMALL),
        ((1, 3, 3, 2, 33), SMALL),
        ((1, 2, 33, 1, 17), None),
        ((2, 2, 3, 0, 20), None),
    ],
    ids=str,
)
def test_float32_agrees_with_the_reference(shape, cut):
    case, truth = single_and_truth(shape)
    for name, error in relative_errors(values(case, replace(FLOAT32, cut=cut)), truth).items():
        assert error < 3e-6, name


@pytest.mark.parametrize("reverse", [(False,), (True,), (True, True, False)], ids=str)
def test_every_direction_agrees(reverse):
    case, truth = single_and_truth((2, 3, 2, 2, 3), reverse=reverse)
    assert max(relative_errors(values(case, FLOAT32), truth).values()) < 3e-6


@pytest.mark.parametrize("clip", [1.0, 0.5, 0.2])
def test_the_clip_acts_where_the_reference_does(clip):
    case, truth = single_and_truth((2, 4, 3, 2, 5), clip=clip)
    assert (truth["states"].abs() == clip).any()
    assert max(relative_errors(values(case, FLOAT32), truth).values()) < 3e-6


@pytest.mark.parametrize(("precision", "limit"), [("tf32", 3e-6), ("bf16", 2e-2)])
def test_other_precisions_agree_within_theirs(precision, limit):
    """The interpreter computes tf32 in float32; only a GPU shows its rounding."""
    case, truth = single_and_truth((2, 4, 5, 3, 18))
    found = values(case, TritonGRU(Products(precision)))
    assert total_error(found, truth) < limit
    if precision == "bf16":
        assert total_error(found, truth) > 1e-5
    assert precision in PRECISIONS


def test_how_it_is_cut_changes_nothing_but_the_order_of_sums():
    case, _ = single_and_truth((1, 2, 18, 2, 20))
    coarse, fine = values(case, FLOAT32), values(case, replace(FLOAT32, cut=SMALL))
    assert max(relative_errors(coarse, fine).values()) < 1e-6


def test_a_member_does_not_depend_on_the_others():
    case, _ = single_and_truth((3, 3, 2, 2, 4))
    alone = case.with_tensors([t[1:2] for t in case.tensors()]).run(FLOAT32)
    # PyTorch's own batched products may sum in another order for another batch.
    torch.testing.assert_close(case.run(FLOAT32)[1:2], alone, rtol=1e-6, atol=1e-6)


def test_values_are_the_same_without_gradients():
    case, _ = single_and_truth((2, 3, 2, 2, 4))
    followed = values(case, FLOAT32)["states"]
    with torch.no_grad():
        assert torch.equal(case.run(FLOAT32), followed)


def test_float64_and_nothing_go_to_the_portable_backend():
    case = random_case((2, 3, 2, 2, 4))
    assert torch.equal(case.run(FLOAT32), case.run(portable.gru_scan))
    assert random_case((2, 0, 2, 2, 4)).run(FLOAT32).shape == (2, 2, 0, 2, 4)


def test_second_derivatives_are_refused():
    case, _ = single_and_truth((1, 2, 1, 1, 2))
    leaf = case.bias.clone().requires_grad_()
    states = replace(case, bias=leaf).run(FLOAT32)
    (gradient,) = torch.autograd.grad(states.square().sum(), [leaf], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
