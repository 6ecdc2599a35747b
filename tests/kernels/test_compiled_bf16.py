"""Products of bf16 operands in the compiled backend: rounded on any machine, on tiles with AMX.

The source for AMX and AVX-512 runs here by AVX2 (`amx_emulated`, `avx512_emulated`) wherever the
library was built with it.
"""

from __future__ import annotations

from dataclasses import replace

import decoder_cases
import gru_cases
import pytest
import torch
from decoder_cases import SIZES, Sizes, signals
from gru_cases import SHAPES
from torch import Tensor

from lfads_torch.kernels.choose import Kernels, choose_kernels
from lfads_torch.kernels.compiled.library import EMULATED, INSTRUCTION_SETS, Absent, find_library
from lfads_torch.kernels.decoder import reference as decoder_reference
from lfads_torch.kernels.gru import reference as gru_reference

LIBRARY = find_library()
NAMES = ("states", "x", "start", "input", "recurrent", "bias")
# Of values and gradients together, by Euclidean norm: rounding to 8 bits, and what becomes of it.
ROUNDING, COSINE = 8e-3, 0.99997
# Between instruction sets: the same rounded operands, sums in another order. A last bit that
# differs can turn a state's rounding, which is then an error like that of rounding, but rare.
ORDER = 2e-3


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel leaves unwritten shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def kernels_with(instructions: str) -> Kernels:
    if isinstance(LIBRARY, Absent):
        pytest.skip(LIBRARY.reason)
    if instructions not in LIBRARY.instruction_sets + LIBRARY.emulated:
        pytest.skip(f"this machine, compiler or build has no {instructions}")
    return choose_kernels(f"compiled-{instructions}-bf16")


@pytest.fixture(params=INSTRUCTION_SETS + EMULATED)
def kernels(request) -> Kernels:
    return kernels_with(request.param)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def as_trained(case: gru_cases.Case) -> gru_cases.Case:
    """Initial states and biases of the size that a model has, in float32."""
    small = replace(case, initial_state=case.initial_state / 50, bias=case.bias / 5)
    return small.with_tensors([t.float() for t in small.tensors()])


def generation_as_trained(case: decoder_cases.Case) -> decoder_cases.Case:
    smaller = {"generator_state": 10, "control_start": 50, "bias": 5, "control_bias": 5,
               "output_bias": 5, "encoder_states": 2}  # fmt: skip
    tensors = {name: t / smaller.get(name, 1) for name, t in case.tensors.items()}
    return replace(case, tensors=tensors).map(Tensor.float)


def gru_values(case: gru_cases.Case, scan) -> dict[str, Tensor]:
    return dict(zip(NAMES, gru_cases.values_and_gradients(case, scan), strict=True))


def in_one(values: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.double().flatten() for value in values.values()])


def distance(found: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    assert found.keys() == truth.keys()
    return float((in_one(found) - in_one(truth)).norm() / in_one(truth).norm())


def cosine(found: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    return float(torch.cosine_similarity(in_one(found), in_one(truth), dim=0))


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 3, 33, 122, 100), (1, 2, 33, 545, 17)], ids=str)
def test_encoders_are_near_the_reference_in_double_precision(kernels, shape):
    case = as_trained(gru_cases.random_case(shape))
    truth = gru_values(case.with_tensors([t.double() for t in case.tensors()]),
                       gru_reference.gru_scan)  # fmt: skip
    found = gru_values(case, kernels.gru_scan)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert 1e-5 < distance(found, truth) < ROUNDING
    assert cosine(found, truth) > COSINE


@pytest.mark.parametrize("sizes", [*SIZES.values(), Sizes(1, 3, 33, 160, 80, 4, 0, 100, 40)])
def test_generation_is_near_the_reference_in_double_precision(kernels, sizes):
    case = generation_as_trained(decoder_cases.random_case(sizes))
    values = decoder_cases.values_and_gradients
    truth = values(case.map(Tensor.double), decoder_reference.decoder_scan)
    found = values(case, kernels.decoder_scan)
    assert 1e-5 < distance(found, truth) < ROUNDING
    assert cosine(found, truth) > COSINE


@pytest.mark.parametrize("clip", [1.5, 0.7, 0.2])
def test_the_clip_acts_where_it_does_in_double_precision(kernels, clip):
    case = gru_cases.random_case((2, 9, 3, 4, 5), clip=clip)
    case = case.with_tensors([t.float() for t in case.tensors()])
    exact = case.with_tensors([t.double() for t in case.tensors()])
    found, truth = case.run(kernels.gru_scan), exact.run(gru_reference.gru_scan)
    assert ((found.abs() == clip) == (truth.abs() == clip)).float().mean() > 0.97
    assert found.abs().max() <= torch.tensor(clip)


@pytest.mark.parametrize("shape", [*SHAPES, (2, 5, 33, 122, 49), (1, 2, 17, 545, 16)], ids=str)
def test_every_instruction_set_rounds_the_same_operands(kernels, shape):
    case = as_trained(gru_cases.random_case(shape))
    usual = gru_values(case, kernels_with("generic").gru_scan)
    assert distance(gru_values(case, kernels.gru_scan), usual) < ORDER


@pytest.mark.parametrize("sizes", [*SIZES.values(), Sizes(2, 3, 47, 33, 31, 17, 3, 65, 16)])
def test_every_instruction_set_generates_from_the_same_operands(kernels, sizes):
    case = generation_as_trained(decoder_cases.random_case(sizes))
    values = decoder_cases.values_and_gradients
    usual = values(case, kernels_with("generic").decoder_scan)
    assert distance(values(case, kernels.decoder_scan), usual) < ORDER


def rounded(tensor: Tensor) -> Tensor:
    return tensor.bfloat16().float()


@pytest.mark.parametrize("size", [1, 3, 16, 33])
def test_operands_are_rounded_to_nearest_even_and_sums_are_float32(kernels, size):
    """From a state of zero only the input's product is left: float32 of rounded operands."""
    case = as_trained(gru_cases.random_case((1, 1, 35, 37, size), reverse=(False,)))
    case.initial_state.zero_()
    case.x[0, 0, :4, 0] = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-8 + 2**-20])
    expected = replace(case, x=rounded(case.x), input=rounded(case.input)).run(
        gru_reference.gru_scan
    )
    found = case.run(kernels.gru_scan)
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=2e-7)
    unrounded = case.run(gru_reference.gru_scan)
    assert (unrounded - expected).abs().max() > 1e-4


def test_a_bias_gradient_is_a_sum_of_unrounded_numbers(kernels):
    case = as_trained(gru_cases.random_case((1, 1, 333, 3, 5), reverse=(False,)))
    case.initial_state.zero_()
    case.x.zero_()
    found = gru_values(case, kernels.gru_scan)["bias"]
    truth = gru_values(case, gru_reference.gru_scan)["bias"]
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)


def encoded_of(case: gru_cases.Case, kernels: Kernels, arriving: Tensor) -> dict[str, Tensor]:
    leaves = [t.clone().requires_grad_() for t in case.tensors()]
    states = case.with_tensors(leaves).run(kernels.gru_scan)
    gradients = torch.autograd.grad(states, leaves, arriving)
    return dict(zip(NAMES, [states.detach(), *gradients], strict=True))


@pytest.mark.parametrize("members", [1, 2, 20])
def test_a_member_has_the_same_bits_in_any_company(kernels, members):
    case = as_trained(gru_cases.random_case((members, 3, 17, 5, 9)))
    arriving = torch.rand(members, 2, 3, 17, 9, generator=torch.Generator().manual_seed(2))
    together = encoded_of(case, kernels, arriving)
    for p in {0, members // 2, members - 1}:
        own = case.with_tensors([t[p : p + 1].clone() for t in case.tensors()])
        alone = encoded_of(own, kernels, arriving[p : p + 1])
        assert same_bits(alone, {k: v[p : p + 1] for k, v in together.items()})


def generation_of(case: decoder_cases.Case, kernels: Kernels, arriving: dict[str, Tensor]):
    leaves = {k: v.clone().requires_grad_() for k, v in case.tensors.items()}
    found = signals(replace(case, tensors=leaves).run(kernels.decoder_scan))
    given = [arriving[name] for name in found]
    gradients = torch.autograd.grad(list(found.values()), list(leaves.values()), given)
    return {k: v.detach() for k, v in found.items()} | dict(zip(leaves, gradients, strict=True))


@pytest.mark.parametrize("kind", ["external", "one trial", "free, external"])
def test_a_generator_has_the_same_bits_in_any_company(kernels, kind):
    case = decoder_cases.random_case(SIZES[kind]).map(Tensor.float)
    arriving = decoder_cases.random_gradients(signals(case.run(kernels.decoder_scan)))
    together = generation_of(case, kernels, arriving)
    for p in range(SIZES[kind].members):
        own = {name: weight[p : p + 1] for name, weight in arriving.items()}
        alone = generation_of(case.map(lambda v, p=p: v[p : p + 1]), kernels, own)
        assert same_bits(alone, {k: v[p : p + 1] for k, v in together.items()})


def test_the_bits_do_not_depend_on_the_number_of_threads(kernels, threads):
    gru = as_trained(gru_cases.random_case((2, 5, 67, 3, 19)))
    generation = decoder_cases.random_case(Sizes(2, 5, 67, external=1)).map(Tensor.float)

    def values() -> list[dict[str, Tensor]]:
        return [
            gru_values(gru, kernels.gru_scan),
            decoder_cases.values_and_gradients(generation, kernels.decoder_scan),
        ]

    threads(1)
    expected = values()
    for n in (2, 7):
        threads(n)
        assert all(same_bits(a, b) for a, b in zip(values(), expected, strict=True))


def test_a_trial_has_the_same_values_in_any_batch(kernels):
    case = as_trained(gru_cases.random_case((2, 5, 37, 3, 9)))
    whole = case.run(kernels.gru_scan)
    for trials in (slice(0, 1), slice(3, 36), slice(36, 37)):
        part = replace(case, x=case.x[:, :, trials]).run(kernels.gru_scan)
        assert torch.equal(part, whole[:, :, :, trials])


def test_inputs_that_are_mostly_zero_have_the_bits_of_any_others(kernels):
    """A trial alone is mostly zero; its numbers must not tell."""
    case = as_trained(gru_cases.random_case((1, 5, 32, 33, 9)))
    kept = torch.rand(case.x.shape, generator=torch.Generator().manual_seed(1)) < 0.1
    sparse = torch.where(kept, case.x, 0.0)
    mixed = torch.where(torch.arange(32)[:, None] == 3, sparse, case.x)
    states = replace(case, x=mixed).run(kernels.gru_scan)
    alone = replace(case, x=sparse).run(kernels.gru_scan)
    assert torch.equal(states[:, :, :, 3], alone[:, :, :, 3])


def test_what_is_empty_goes_to_the_portable_backend(kernels):
    empty = as_trained(gru_cases.random_case((2, 0, 3, 4, 5)))
    assert empty.run(kernels.gru_scan).shape == (2, 2, 0, 3, 5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_diverged_stays_not_finite_and_harms_no_other_member(kernels, value):
    case = as_trained(gru_cases.random_case((3, 5, 3, 4, 7)))
    expected = gru_values(case, kernels.gru_scan)
    case.recurrent[1, 0, 2, 3] = value
    found = gru_values(case, kernels.gru_scan)
    assert not in_one({k: v[1] for k, v in found.items()}).isfinite().all()
    for name, each in found.items():
        assert torch.equal(each[[0, 2]], expected[name][[0, 2]]), name


def test_numbers_too_small_are_zero_on_tiles_alone(kernels):
    """1e-39 times 1e38 is 0.1, unless tiles take the one, below 2^-126, as zero."""
    case = as_trained(gru_cases.random_case((1, 1, 3, 1, 5), reverse=(False,)))
    case.input.fill_(1e38)
    tiny = replace(case, x=torch.full_like(case.x, 1e-39)).run(kernels.gru_scan)
    without = replace(case, x=torch.zeros_like(case.x)).run(kernels.gru_scan)
    if kernels.name.startswith("compiled-amx"):
        assert torch.equal(tiny, without)
    else:
        assert (tiny - without).abs().max() > 1e-3
