"""The encoder recurrence: its definition against a slow loop, and every backend against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gru_cases import REVERSE, SHAPES, Case, random_case, values_and_gradients
from torch import Tensor

from lfads_torch.kernels.gru import portable, reference


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel reads before it wrote it shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    """Equal up to the rounding of float64, relative to the largest entry of each tensor."""
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        largest = float(b.abs().max()) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * largest)


def slow_step(
    x: np.ndarray, h: np.ndarray, weights: tuple[np.ndarray, np.ndarray, np.ndarray], clip: float
) -> np.ndarray:
    """The equations of the unit, one number at a time."""
    input_weight, recurrent, bias = weights
    size = len(h)

    def before(column: int, state: list[float]) -> float:
        from_input = sum(x[i] * input_weight[i, column] for i in range(len(x)))
        return bias[column] + from_input + sum(state[j] * recurrent[j, column] for j in range(size))

    z = [1 / (1 + np.exp(-before(j, h))) for j in range(size)]
    r = [1 / (1 + np.exp(-before(size + j, h))) for j in range(size)]
    reset = [r[j] * h[j] for j in range(size)]
    n = [np.tanh(before(2 * size + j, reset)) for j in range(size)]
    new = [z[j] * h[j] + (1 - z[j]) * n[j] for j in range(size)]
    return np.array([min(max(value, -clip), clip) for value in new])


def slow_scan(case: Case) -> np.ndarray:
    """Every trial of every direction and member by itself."""
    x, start, input_weight, recurrent, bias = (t.numpy() for t in case.tensors())
    n_members, n_bins, n_trials, _ = x.shape
    n_directions, size = start.shape[1:]
    states = np.zeros((n_members, n_directions, n_bins, n_trials, size))
    for p, d, b in np.ndindex(n_members, n_directions, n_trials):
        h = start[p, d]
        weights = (input_weight[p, d], recurrent[p, d], bias[p, d])
        for t in range(n_bins)[::-1] if case.reverse[d] else range(n_bins):
            h = states[p, d, t, b] = slow_step(x[p, t, b], h, weights, case.clip)
    return states


@pytest.mark.parametrize("clip", [5.0, 1.0, 0.3])
def test_the_reference_follows_the_equations(clip):
    case = random_case((2, 5, 3, 2, 3), clip=clip)
    np.testing.assert_allclose(case.run(reference.gru_scan), slow_scan(case), rtol=0, atol=1e-13)


@pytest.mark.parametrize("clip", [5.0, 0.3])
def test_the_gradient_of_the_reference_is_that_of_its_values(clip):
    case = random_case((2, 3, 2, 2, 2), clip=clip)
    leaves = [t.requires_grad_() for t in case.tensors()]
    assert torch.autograd.gradcheck(
        lambda *tensors: case.with_tensors(list(tensors)).run(reference.gru_scan), leaves
    )


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_portable_agrees_with_the_reference(shape, reverse):
    case = random_case(shape, reverse=reverse)
    expected = values_and_gradients(case, reference.gru_scan)
    assert_same(values_and_gradients(case, portable.gru_scan), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_portable_is_as_exact_in_float32_as_the_reference(shape):
    """Both are held against float64; the limit is 2e-6 or three times the reference's error."""
    case = random_case(shape)
    single = case.with_tensors([t.float() for t in case.tensors()])
    exact = single.with_tensors([t.double() for t in single.tensors()])
    truth = values_and_gradients(exact, reference.gru_scan)
    usual = values_and_gradients(single, reference.gru_scan)
    found = values_and_gradients(single, portable.gru_scan)
    for a, b, true in zip(found, usual, truth, strict=True):
        assert a.dtype == torch.float32
        limit = max(2e-6 * float(true.abs().max()), 3 * float((b - true).abs().max()))
        torch.testing.assert_close(a.double(), true, rtol=0, atol=limit)


@pytest.mark.parametrize("clip", [1.5, 1.0, 0.7, 0.2])
def test_portable_clips_where_the_reference_does(clip):
    case = random_case((2, 9, 3, 4, 5), clip=clip, reverse=(False, False))
    expected = values_and_gradients(case, reference.gru_scan)
    n_at_clip = (expected[0].abs() == clip).sum(dim=(0, 1, 3, 4))
    assert n_at_clip[0] > 0
    assert (n_at_clip[1:] > 0).any() == (clip < 1)
    assert_same(values_and_gradients(case, portable.gru_scan), expected)


def test_a_state_exactly_at_the_clip_keeps_its_gradient():
    """With z = 1 the first state equals the initial one: at the clip, not beyond it."""
    case = random_case((1, 4, 2, 3, 3), clip=2.0)
    case.initial_state.fill_(2.0)
    case.bias[..., :3] = 1000.0
    expected = values_and_gradients(case, reference.gru_scan)
    assert (expected[0] == 2.0).all()
    assert expected[2].abs().sum() > 0
    assert_same(values_and_gradients(case, portable.gru_scan), expected)


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_last_states_alone_are_those_of_the_reference(shape, reverse):
    def ends(*arguments, **settings):
        states = reference.gru_scan(*arguments, **settings)
        last = [states[:, d, 0 if back else -1] for d, back in enumerate(reverse)]
        return torch.stack(last, 1)

    case = random_case(shape, reverse=reverse)
    expected = values_and_gradients(case, ends)
    assert_same(values_and_gradients(case, portable.gru_ends), expected)
    assert_same([case.run(portable.gru_ends)], expected[:1])


def test_no_bins_give_no_states():
    case = random_case((2, 0, 3, 4, 5))
    for scan in (reference.gru_scan, portable.gru_scan):
        assert case.run(scan).shape == (2, 2, 0, 3, 5)
    leaf = case.initial_state.clone().requires_grad_()
    states = replace(case, initial_state=leaf).run(portable.gru_scan)
    (gradient,) = torch.autograd.grad(states.sum(), [leaf])
    assert (gradient == 0).all()


def test_storage_order_does_not_matter():
    case = random_case((3, 5, 7, 4, 6))
    scattered = [t.mT.contiguous().mT if t.dim() > 2 else t for t in case.tensors()]
    scattered[0] = scattered[0].transpose(1, 2).contiguous().transpose(1, 2)
    assert not scattered[0].is_contiguous()
    expected = values_and_gradients(case, reference.gru_scan)
    leaves = [t.requires_grad_() for t in scattered]
    states = case.with_tensors(leaves).run(portable.gru_scan)
    random = torch.Generator().manual_seed(7)
    weight = torch.randn(states.shape, generator=random, dtype=torch.float64)
    gradients = torch.autograd.grad(states, leaves, weight.mT.contiguous().mT)
    assert_same([states.detach(), *gradients], expected)


@pytest.mark.parametrize("scan", [reference.gru_scan, portable.gru_scan])
@pytest.mark.parametrize("shape", [(3, 5, 7, 4, 6), (4, 9, 1, 3, 17)], ids=str)
def test_a_population_is_its_members_side_by_side(scan, shape):
    case = random_case(shape)
    together = case.run(scan)
    for p in range(shape[0]):
        alone = case.with_tensors([t[p : p + 1] for t in case.tensors()]).run(scan)
        torch.testing.assert_close(together[p : p + 1], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("needed", range(5))
def test_only_what_needs_a_gradient_gets_one(needed):
    case = random_case((2, 3, 3, 4, 5))
    expected = values_and_gradients(case, reference.gru_scan)[1 + needed]
    tensors = case.tensors()
    tensors[needed] = tensors[needed].clone().requires_grad_()
    states = case.with_tensors(tensors).run(portable.gru_scan)
    random = torch.Generator().manual_seed(7)
    states.backward(torch.randn(states.shape, generator=random, dtype=torch.float64))
    assert_same([tensors[needed].grad], [expected])


def test_values_are_the_same_without_gradients():
    case = random_case((2, 7, 3, 4, 5))
    leaves = [t.clone().requires_grad_() for t in case.tensors()]
    with torch.no_grad():
        states = case.with_tensors(leaves).run(portable.gru_scan)
    assert not states.requires_grad
    assert torch.equal(states, case.with_tensors(leaves).run(portable.gru_scan))


def test_second_derivatives_are_refused():
    case = random_case((1, 3, 2, 2, 2))
    x = case.x.clone().requires_grad_()
    states = replace(case, x=x).run(portable.gru_scan)
    (gradient,) = torch.autograd.grad(states.square().sum(), [x], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_directions_must_match_the_weights():
    case = replace(random_case((1, 3, 2, 2, 2)), reverse=(False,))
    for scan in (reference.gru_scan, portable.gru_scan):
        with pytest.raises(ValueError, match=r"reverse|shorter"):
            case.run(scan)
