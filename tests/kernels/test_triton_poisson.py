"""Read-out and Poisson likelihood in Triton, against autograd through the definition in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from device_waits import NothingWaits
from poisson_cases import Case, definition, random_case, values_and_gradients
from torch import Tensor
from training_cases import Case as TrainingCase
from triton_interpreter import relative_errors, require_interpreter, total_error

require_interpreter()

from lfads_torch.kernels.choose import choose_kernels  # noqa: E402
from lfads_torch.kernels.poisson import differentiable_nats, poisson_nats  # noqa: E402
from lfads_torch.kernels.triton import poisson as poisson_module  # noqa: E402
from lfads_torch.kernels.triton.poisson import TritonPoisson  # noqa: E402
from lfads_torch.kernels.triton.precision import PRECISIONS, Cut, Products  # noqa: E402
from lfads_torch.training.score import validation_reconstruction  # noqa: E402
from lfads_torch.training.step import training_step  # noqa: E402

SMALL = Cut(16, 16, 16)  # several tiles, columns, and steps of every product
FLOAT32 = TritonPoisson(Products("float32"))
BOTH = "present and gradient"


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel leaves unwritten shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def single_and_truth(sizes: tuple[int, ...], masks: str = "") -> tuple[Case, dict[str, Tensor]]:
    single = random_case(sizes, masks).to(torch.float32)
    return single, values_and_gradients(single.to(torch.float64), definition)


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ((1, 1, 1, 1, 1), None),
        ((3, 1, 3, 33, 3), None),
        ((3, 5, 1, 1, 33), SMALL),
        ((2, 3, 33, 3, 7), None),
        ((1, 2, 9, 33, 35), SMALL),
        ((20, 1, 1, 3, 3), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("masks", ["", BOTH])
def test_float32_agrees_with_the_definition(sizes, cut, masks):
    case, truth = single_and_truth(sizes, masks)
    found = values_and_gradients(case, replace(FLOAT32, cut=cut))
    for name, error in relative_errors(found, truth).items():
        assert error < 2e-6, name


@pytest.mark.parametrize("masks", ["", "present", "gradient", BOTH])
def test_the_mathematics_are_those_of_the_definition(masks):
    """In float64, which the interpreter computes and the backend leaves to PyTorch."""
    case = random_case((2, 3, 7, 18, 19), masks)
    kernel = replace(FLOAT32, cut=SMALL)

    def nats(*leaves: Tensor, **fixed: Tensor | None) -> Tensor:
        return differentiable_nats(kernel.one_pass, *leaves, **fixed)

    found = values_and_gradients(case, nats)
    for name, error in relative_errors(found, values_and_gradients(case, definition)).items():
        assert error < 1e-12, name


@pytest.mark.parametrize(("precision", "limit"), [("tf32", 2e-6), ("bf16", 1e-2)])
def test_other_precisions_agree_within_theirs(precision, limit):
    """The interpreter computes tf32 in float32; only a GPU shows its rounding."""
    case, truth = single_and_truth((2, 4, 5, 9, 18), BOTH)
    found = values_and_gradients(case, TritonPoisson(Products(precision)))
    assert total_error(found, truth) < limit
    gradients = [{k: v for k, v in each.items() if k != "nats"} for each in (found, truth)]
    assert total_error(*gradients) < limit
    assert (total_error(*gradients) > 1e-4) == (precision == "bf16")


def test_how_it_is_cut_changes_nothing_but_the_order_of_sums():
    case, _ = single_and_truth((1, 2, 18, 20, 37), BOTH)
    coarse = values_and_gradients(case, FLOAT32)
    fine = values_and_gradients(case, replace(FLOAT32, cut=SMALL))
    assert max(relative_errors(coarse, fine).values()) < 1e-6


def test_the_same_again_to_the_bit_and_a_member_in_any_population():
    case, _ = single_and_truth((3, 5, 7, 3, 4), BOTH)
    first, again = (values_and_gradients(case, FLOAT32) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    every = FLOAT32(*case.leaves, **case.fixed())
    one = case.members(slice(1, 2))
    assert torch.equal(every[1:2], FLOAT32(*one.leaves, **one.fixed()))


def test_values_are_the_same_without_gradients():
    case, _ = single_and_truth((2, 3, 2, 2, 4), BOTH)
    followed = values_and_gradients(case, FLOAT32)["nats"]
    with torch.no_grad():
        assert torch.equal(FLOAT32(*case.leaves, **case.fixed()), followed)
    assert not FLOAT32(*case.leaves, **case.fixed()).requires_grad


def test_what_is_missing_may_hold_anything():
    case, truth = single_and_truth((2, 3, 5, 3, 7), "present")
    assert case.is_present is not None
    for junk in (torch.nan, torch.inf):
        holed = replace(case, counts=torch.where(case.is_present, case.counts, junk))
        assert max(relative_errors(values_and_gradients(holed, FLOAT32), truth).values()) < 2e-6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the overflow that is meant
def test_a_rate_without_bound_stays_with_its_member():
    case, truth = single_and_truth((3, 2, 3, 2, 4), BOTH)
    case.leaves[2][1] = 100.0
    found = values_and_gradients(case, FLOAT32)
    assert torch.isinf(found["nats"][1])
    for name, value in found.items():
        torch.testing.assert_close(value[::2].double(), truth[name][::2], rtol=1e-5, atol=1e-5)


def test_views_are_read_where_they_are():
    """Trials of a longer recording, counts of one member for all, masks in the order of time."""
    case, _ = single_and_truth((3, 4, 5, 3, 7), BOTH)
    assert case.is_present is not None
    assert case.has_gradient is not None
    shared = case.members(slice(0, 1))
    longer = torch.full((1, 5, 6, 7), torch.nan)
    longer[:, :, 2:] = shared.counts
    in_time = case.has_gradient.transpose(1, 2).contiguous().transpose(1, 2)
    one = Case(
        case.leaves, shared.counts.repeat(3, 1, 1, 1), shared.is_present.repeat(3, 1, 1, 1),
        case.has_gradient,
    )  # fmt: skip
    views = Case(
        case.leaves, longer[:, :, 2:].expand(3, -1, -1, -1),
        shared.is_present.expand(3, -1, -1, -1), in_time,
    )  # fmt: skip
    by_units = replace(views, counts=views.counts.mT.contiguous().mT)
    expected = values_and_gradients(one, FLOAT32)
    for each in (views, by_units):
        found = values_and_gradients(each, FLOAT32)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_factors_of_one_session_of_several():
    case, _ = single_and_truth((2, 3, 4, 3, 5), BOTH)
    wide = torch.randn(2, 3, 9, 3)
    wide[:, :, 2:6] = case.leaves[0]
    views = replace(case, leaves=(wide[:, :, 2:6], *case.leaves[1:]))
    assert torch.equal(
        FLOAT32(*views.leaves, **case.fixed()), FLOAT32(*case.leaves, **case.fixed())
    )


def test_float64_and_nothing_go_to_the_operations_of_pytorch():
    case = random_case((2, 3, 2, 2, 4), BOTH)
    found, expected = (values_and_gradients(case, each) for each in (FLOAT32, poisson_nats))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for sizes in ((0, 2, 3, 2, 4), (2, 0, 3, 2, 4), (2, 2, 0, 2, 4), (2, 2, 3, 2, 0)):
        empty = random_case(sizes, BOTH).to(torch.float32)
        found = values_and_gradients(empty, FLOAT32)
        assert found["nats"].tolist() == [0.0] * sizes[0]
        assert all(not each.any() for each in found.values())
    without = random_case((2, 2, 3, 0, 4)).to(torch.float32)  # no factors: a bias alone
    truth = values_and_gradients(without.to(torch.float64), definition)
    assert max(relative_errors(values_and_gradients(without, FLOAT32), truth).values()) < 2e-6


def test_nothing_around_the_kernel_waits_for_the_device(monkeypatch):
    """The launch is left out: the interpreter itself reads values."""

    class Launches:
        def __getitem__(self, grid: tuple[int, int]):
            return lambda arrays, *given, **options: arrays.nats.zero_()

    monkeypatch.setattr(poisson_module, "poisson", Launches())
    case, _ = single_and_truth((3, 4, 5, 3, 7), BOTH)
    with NothingWaits():
        values_and_gradients(case, FLOAT32)


def test_second_derivatives_are_refused():
    case, _ = single_and_truth((1, 2, 1, 1, 2))
    leaves = [leaf.requires_grad_() for leaf in case.leaves]
    total = FLOAT32(*leaves, **case.fixed()).square().sum()
    gradients = torch.autograd.grad(total, leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradients[2].sum().backward()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_backend_has_it_in_its_precision_and_scores_in_float32(precision):
    kernels = choose_kernels(f"triton-{precision}")
    assert kernels.poisson == TritonPoisson(Products(precision))
    assert kernels.poisson_score == FLOAT32


@pytest.mark.parametrize("which", ["all", "held_out"])
def test_a_score_is_that_of_the_family(which):
    case = TrainingCase(missing_share=0.2, dtype=torch.float32).with_training(score_entries=which)
    state, task, (valid,) = case.state((0, 1, 2)), case.task(), case.data().valid
    with_kernel = replace(task, kernels=replace(task.kernels, poisson_score=FLOAT32))
    found, expected = (
        validation_reconstruction(state, each, (valid,), seed=3) for each in (with_kernel, task)
    )
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0)


def test_a_training_step_is_that_of_the_family():
    case = TrainingCase(missing_share=0.2, dtype=torch.float32)
    case = replace(case, augmentation=replace(case.augmentation, coordinated_dropout_rate=0.3))
    task, gradients = case.task(), []
    for name, kernel in (("portable", FLOAT32), ("reference", None)):
        kernels = replace(task.kernels, name=name, poisson=kernel)
        state = case.state((0, 1))
        index = (torch.arange(5).expand(2, -1),)
        training_step(state, replace(task, kernels=kernels), case.data().train, index, seed=3)
        gradients.append(state.moment1)
    found, expected = gradients
    assert 0 < (found - expected).norm() / expected.norm() < 5e-6
