"""The compiled backend against the reference, and what it promises beyond: the same bits always."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import decoder_cases
import gru_cases
import pytest
import torch
from decoder_cases import SIZES, Sizes, signals
from gru_cases import REVERSE, SHAPES
from torch import Tensor

from lfads_torch.kernels.choose import Kernels, choose_kernels
from lfads_torch.kernels.compiled.library import INSTRUCTION_SETS, Absent, find_library
from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import reference as gru_reference

LIBRARY = find_library()


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel leaves unwritten shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


# In float32 the set `amx` has the code of `avx512`.
@pytest.fixture(params=(*INSTRUCTION_SETS, "avx512_emulated"))
def kernels(request) -> Kernels:
    if isinstance(LIBRARY, Absent):
        pytest.skip(LIBRARY.reason)
    if request.param not in LIBRARY.instruction_sets + LIBRARY.emulated:
        pytest.skip(f"this machine, compiler or build has no {request.param}")
    return choose_kernels(f"compiled-{request.param}")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def assert_exact(
    found: dict[str, Tensor], usual: dict[str, Tensor], truth: dict[str, Tensor]
) -> None:
    """Euclidean norms: the limit is 2e-6 of the truth's, or three times the reference's error."""
    assert found.keys() == truth.keys()
    for name, true in truth.items():
        assert found[name].shape == true.shape, name
        assert found[name].dtype == torch.float32, name
        if true.numel():
            limit = max(2e-6 * true.norm(), 3 * (usual[name] - true).norm())
            assert (found[name] - true).norm() <= limit, name


def gru_values(case: gru_cases.Case, scan) -> dict[str, Tensor]:
    names = ("states", "x", "start", "input", "recurrent", "bias")
    return dict(zip(names, gru_cases.values_and_gradients(case, scan), strict=True))


def in_single(case: gru_cases.Case) -> gru_cases.Case:
    return case.with_tensors([t.float() for t in case.tensors()])


def check_gru(case: gru_cases.Case, kernels: Kernels) -> dict[str, Tensor]:
    case = in_single(case)
    exact = case.with_tensors([t.double() for t in case.tensors()])
    truth = gru_values(exact, gru_reference.gru_scan)
    found = gru_values(case, kernels.gru_scan)
    assert_exact(found, gru_values(case, gru_reference.gru_scan), truth)
    return found


def check_decoder(case: decoder_cases.Case, kernels: Kernels, used: tuple[str, ...] = ()) -> None:
    case = case.map(Tensor.float)
    values = decoder_cases.values_and_gradients
    truth = values(case.map(Tensor.double), decoder_reference.decoder_scan, used)
    usual = values(case, decoder_reference.decoder_scan, used)
    assert_exact(values(case, kernels.decoder_scan, used), usual, truth)


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 3, 33, 122, 100)], ids=str)
def test_encoders_agree_with_the_reference(kernels, shape, reverse):
    check_gru(gru_cases.random_case(shape, reverse=reverse), kernels)


def sparse_case(shape: tuple[int, int, int, int, int], share: float) -> gru_cases.Case:
    """Inputs of which only a share is not zero, as spike counts are."""
    case = gru_cases.random_case(shape, reverse=(False, True))
    random = torch.Generator().manual_seed(11)
    case.x.mul_(torch.rand(case.x.shape, generator=random) < share)
    return case


@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 33, 122, 31)], ids=str)
def test_inputs_that_are_mostly_zero(kernels, shape, share):
    check_gru(sparse_case(shape, share), kernels)


def test_inputs_that_are_mostly_zero_give_the_bits_of_the_dense_product(kernels):
    """A trial alone is mostly zero; among dense ones it goes through the dense product."""
    case = in_single(sparse_case((1, 5, 32, 33, 9), 0.1))
    dense = torch.randn(case.x.shape, generator=torch.Generator().manual_seed(1))
    mixed = torch.where(torch.arange(32)[:, None] == 3, case.x, dense)
    states = replace(case, x=mixed).run(kernels.gru_scan)
    assert torch.equal(states[:, :, :, 3], case.run(kernels.gru_scan)[:, :, :, 3])


@pytest.mark.parametrize("clip", [1.5, 1.0, 0.7, 0.2])
def test_encoders_clip_where_the_reference_does(kernels, clip):
    case = gru_cases.random_case((2, 9, 3, 4, 5), clip=clip, reverse=(False, True))
    states = check_gru(case, kernels)["states"]
    n_at_clip = (states.abs() == torch.tensor(clip)).sum(dim=(0, 3, 4))
    assert n_at_clip[0, 0] > 0
    assert n_at_clip[1, -1] > 0
    assert (n_at_clip[0, 1:] > 0).any() == (clip < 1)


def test_a_state_exactly_at_the_clip_keeps_its_gradient(kernels):
    """With z = 1 the first state equals the initial one: at the clip, not beyond it."""
    case = gru_cases.random_case((1, 4, 2, 3, 3), clip=2.0)
    case.initial_state.fill_(2.0)
    case.bias[..., :3] = 1000.0
    found = check_gru(case, kernels)
    assert (found["states"] == 2.0).all()
    assert found["start"].abs().sum() > 0


@pytest.mark.parametrize("fixed", [True, False], ids=["masks and noise", "mean"])
@pytest.mark.parametrize("sizes", [*SIZES.values(), Sizes(1, 3, 33, 160, 80, 4, 0, 100, 40)])
def test_generation_agrees_with_the_reference(kernels, sizes, fixed):
    check_decoder(decoder_cases.random_case(sizes, fixed=fixed), kernels)


@pytest.mark.parametrize("clip", [1.5, 1.0, 0.7, 0.2])
@pytest.mark.parametrize("sizes", [Sizes(external=1), SIZES["free"]], ids=["control", "free"])
def test_generation_clips_where_the_reference_does(kernels, sizes, clip):
    check_decoder(decoder_cases.random_case(sizes, clip=clip), kernels)


@pytest.mark.parametrize("used", ["factors", "controller_states", "input_mean", "inputs"])
def test_a_gradient_may_arrive_at_any_one_output(kernels, used):
    check_decoder(decoder_cases.random_case(SIZES["external"]), kernels, (used,))


@pytest.mark.parametrize(
    "kept", ["initial_generator_mask", "generator_mask", "factor_mask", "noise"]
)
def test_masks_and_noise_are_independent_of_each_other(kernels, kept):
    case = decoder_cases.random_case(Sizes())
    check_decoder(replace(case, fixed={kept: case.fixed[kept]}), kernels)


@pytest.mark.parametrize("needed", list(decoder_cases.random_case(Sizes(external=1)).tensors))
def test_only_what_needs_a_gradient_gets_one(kernels, needed):
    case = decoder_cases.random_case(Sizes(external=1)).map(Tensor.float)
    expected = decoder_cases.values_and_gradients(case, kernels.decoder_scan)
    leaf = case.tensors[needed].clone().requires_grad_()
    found = signals(replace(case, tensors=case.tensors | {needed: leaf}).run(kernels.decoder_scan))
    weights = decoder_cases.random_gradients(found)
    torch.stack([(found[k] * weights[k]).sum() for k in found]).sum().backward()
    assert torch.equal(leaf.grad, expected[f"gradient of {needed}"])


def stacked(cases: list[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(parts) for parts in zip(*cases, strict=True)]


@pytest.mark.parametrize("shape", [(3, 5, 33, 7, 9), (5, 9, 1, 3, 17), (2, 3, 65, 5, 31)], ids=str)
def test_an_encoder_has_the_same_bits_in_any_company(kernels, shape):
    case = in_single(gru_cases.random_case(shape))
    members = [[t[p : p + 1].clone() for t in case.tensors()] for p in range(shape[0])]
    of_states = torch.randn(case.run(kernels.gru_scan).shape)

    def values(tensors: list[Tensor], gradient: Tensor) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in tensors]
        states = case.with_tensors(leaves).run(kernels.gru_scan)
        return [states.detach(), *torch.autograd.grad(states, leaves, gradient)]

    alone = [values(member, of_states[p : p + 1]) for p, member in enumerate(members)]
    turned = list(range(shape[0]))[::-1]
    together = values(stacked([members[p] for p in turned]), of_states[turned])
    expected = stacked([alone[p] for p in turned])
    assert all(torch.equal(a, b) for a, b in zip(together, expected, strict=True))


def generation_of(case: decoder_cases.Case, kernels: Kernels, weights: dict[str, Tensor]):
    leaves = {k: v.clone().requires_grad_() for k, v in case.tensors.items()}
    found = signals(replace(case, tensors=leaves).run(kernels.decoder_scan))
    arriving = [weights[name] for name in found]
    gradients = torch.autograd.grad(list(found.values()), list(leaves.values()), arriving)
    named = {f"gradient of {k}": g for k, g in zip(leaves, gradients, strict=True)}
    return {k: v.detach() for k, v in found.items()} | named


@pytest.mark.parametrize("kind", ["external", "one trial", "free, external"])
def test_a_generator_has_the_same_bits_in_any_company(kernels, kind):
    case = decoder_cases.random_case(SIZES[kind]).map(Tensor.float)
    weights = decoder_cases.random_gradients(signals(case.run(kernels.decoder_scan)))
    together = generation_of(case, kernels, weights)
    for p in range(SIZES[kind].members):
        own = {name: weight[p : p + 1] for name, weight in weights.items()}
        alone = generation_of(case.map(lambda v, p=p: v[p : p + 1]), kernels, own)
        assert same_bits(alone, {k: v[p : p + 1] for k, v in together.items()})


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_bits_do_not_depend_on_the_number_of_threads(kernels, threads, n):
    """Nor on the tiles of trials, which are smaller where there are more threads."""
    gru = in_single(gru_cases.random_case((2, 5, 67, 3, 9)))
    generation = decoder_cases.random_case(Sizes(2, 5, 67, external=1)).map(Tensor.float)

    def values() -> list[dict[str, Tensor]]:
        return [
            gru_values(gru, kernels.gru_scan),
            decoder_cases.values_and_gradients(generation, kernels.decoder_scan),
        ]

    threads(1)
    expected = values()
    threads(n)
    for _ in range(5):
        assert all(same_bits(a, b) for a, b in zip(values(), expected, strict=True))


def test_a_trial_has_the_same_values_in_any_batch(kernels):
    case = in_single(gru_cases.random_case((2, 5, 37, 3, 9)))
    whole = case.run(kernels.gru_scan)
    for trials in (slice(0, 1), slice(3, 36), slice(36, 37)):
        part = replace(case, x=case.x[:, :, trials]).run(kernels.gru_scan)
        assert torch.equal(part, whole[:, :, :, trials])


def test_values_are_the_same_without_gradients(kernels):
    case = decoder_cases.random_case(Sizes(external=1)).map(Tensor.float)
    leaves = {k: v.clone().requires_grad_() for k, v in case.tensors.items()}
    case = replace(case, tensors=leaves)
    with torch.no_grad():
        free = signals(case.run(kernels.decoder_scan))
    followed = signals(case.run(kernels.decoder_scan))
    assert not any(signal.requires_grad for signal in free.values())
    assert all(torch.equal(free[name], followed[name]) for name in followed)


def test_what_is_not_float32_or_empty_goes_to_the_portable_backend(kernels):
    case = gru_cases.random_case((2, 3, 3, 4, 5))
    portable = choose_kernels("portable")
    assert torch.equal(case.run(kernels.gru_scan), case.run(portable.gru_scan))
    empty = in_single(gru_cases.random_case((2, 0, 3, 4, 5)))
    assert empty.run(kernels.gru_scan).shape == (2, 2, 0, 3, 5)
    generation = decoder_cases.random_case(Sizes(external=1))
    found, expected = (
        signals(generation.run(k.decoder_scan)) for k in (kernels, choose_kernels("portable"))
    )
    assert same_bits(found, expected)


def test_what_diverged_stays_not_finite_and_harms_no_other_member(kernels):
    case = in_single(gru_cases.random_case((3, 5, 3, 4, 7)))
    expected = gru_values(case, kernels.gru_scan)
    case.recurrent[1, 0, 2, 3] = torch.nan
    found = gru_values(case, kernels.gru_scan)
    assert not found["states"][1].isfinite().all()
    for name, value in found.items():
        assert torch.equal(value[[0, 2]], expected[name][[0, 2]]), name


def test_several_python_threads_may_call_at_once(kernels, threads):
    threads(2)
    case = in_single(gru_cases.random_case((2, 9, 33, 5, 9)))
    expected = gru_values(case, kernels.gru_scan)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: gru_values(case, kernels.gru_scan), range(12)))
    assert all(same_bits(values, expected) for values in found)


def states_of(case: gru_cases.Case, name: str, answer) -> None:
    with torch.no_grad():
        answer.put(case.run(choose_kernels(name).gru_scan).numpy())


def test_a_child_after_fork_computes_with_threads_of_its_own(kernels, threads):
    threads(2)
    case = in_single(gru_cases.random_case((2, 9, 33, 5, 9)))
    with torch.no_grad():
        expected = case.run(kernels.gru_scan)  # the parent's threads exist by now
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=states_of, args=(case, kernels.name, answer))
    child.start()
    try:
        found = torch.from_numpy(answer.get(timeout=60))
    finally:
        child.kill()
        child.join()
    assert torch.equal(found, expected)
    with torch.no_grad():
        assert torch.equal(case.run(kernels.gru_scan), expected)
