"""The generation recurrence in Triton against the reference in float64."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from decoder_cases import Case, Sizes, random_case, signals, values_and_gradients
from torch import Tensor
from triton_interpreter import relative_errors, require_interpreter, total_error

require_interpreter()

from lfads_torch.errors import SettingsError  # noqa: E402
from lfads_torch.kernels.choose import choose_kernels  # noqa: E402
from lfads_torch.kernels.decoder import portable, reference  # noqa: E402
from lfads_torch.kernels.decoder.reference import DecoderOutput  # noqa: E402
from lfads_torch.kernels.drawn import Drawn  # noqa: E402
from lfads_torch.kernels.triton.decoder import TritonDecoder  # noqa: E402
from lfads_torch.kernels.triton.precision import Cut, Products  # noqa: E402
from lfads_torch.training.streams import Streams, site_key, threshold  # noqa: E402

SMALL = Cut(16, 16, 16)
FLOAT32 = TritonDecoder(Products("float32"))
FEW = Sizes(2, 3, 3, 6, 5, 2, 0, 7, 4)
CASES = {
    "ones": (Sizes(1, 1, 1, 1, 1, 1, 0, 1, 1), None),
    "external": (replace(FEW, external=2), None),
    "several tiles and chunks": (Sizes(1, 2, 17, 3, 17, 3, 1, 18, 17), SMALL),
    "three members": (Sizes(3, 2, 1, 2, 3, 1, 0, 3, 2), None),
    "many inputs": (Sizes(1, 2, 2, 2, 3, 17, 0, 4, 3), None),
    "free": (Sizes(2, 3, 3, 0, 0, 0, 0, 20, 5), SMALL),
    "free, external": (Sizes(1, 2, 3, 0, 0, 0, 3, 5, 5), None),
}


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel leaves unwritten shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def single_and_truth(sizes: Sizes, used=(), **options) -> tuple[Case, dict[str, Tensor]]:
    case = random_case(sizes, **options).map(Tensor.float)
    return case, values_and_gradients(case.map(Tensor.double), reference.decoder_scan, used)


def assert_exact(case: Case, scan, truth: dict[str, Tensor], used=()) -> None:
    """The limit is 3e-6, or three times the error of the reference itself in float32."""
    usual = relative_errors(values_and_gradients(case, reference.decoder_scan, used), truth)
    for name, error in relative_errors(values_and_gradients(case, scan, used), truth).items():
        assert error <= max(3e-6, 3 * usual[name]), name


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees_with_the_reference(name):
    sizes, cut = CASES[name]
    case, truth = single_and_truth(sizes)
    assert_exact(case, replace(FLOAT32, cut=cut), truth)


@pytest.mark.parametrize("clip", [5.0, 0.7])
def test_without_masks_and_noise(clip):
    case, truth = single_and_truth(FEW, fixed=False, clip=clip)
    assert_exact(case, FLOAT32, truth)


@pytest.mark.parametrize("used", [f.name for f in fields(DecoderOutput)])
def test_a_gradient_may_arrive_at_any_one_output(used):
    case, truth = single_and_truth(replace(FEW, bins=2), (used,))
    assert_exact(case, FLOAT32, truth, (used,))


@pytest.mark.parametrize(
    "kept", ["initial_generator_mask", "generator_mask", "factor_mask", "noise"]
)
def test_masks_and_noise_are_independent_of_each_other(kept):
    case = random_case(replace(FEW, bins=2)).map(Tensor.float)
    case = replace(case, fixed={kept: case.fixed[kept]})
    truth = values_and_gradients(case.map(Tensor.double), reference.decoder_scan)
    assert_exact(case, FLOAT32, truth)


def quiet(case: Case) -> Case:
    """States within the unit ball: rounding of operands is then not magnified by exponentials."""
    tensors = dict(case.tensors)
    for name in ("generator_state", "control_start", "output_bias"):
        tensors[name] = tensors[name] * 0.1
    return replace(case, tensors=tensors)


@pytest.mark.parametrize(("precision", "limit"), [("tf32", 3e-6), ("bf16", 1.5e-2)])
def test_other_precisions_agree_within_theirs(precision, limit):
    """The interpreter computes tf32 in float32; only a GPU shows its rounding."""
    case = quiet(random_case(replace(FEW, external=1))).map(Tensor.float)
    truth = values_and_gradients(case.map(Tensor.double), reference.decoder_scan)
    found = values_and_gradients(case, TritonDecoder(Products(precision)))
    assert total_error(found, truth) < limit
    if precision == "bf16":
        assert total_error(found, truth) > 1e-5


STEP, SEED = torch.tensor([7]), 99
MEMBERS, ROWS = torch.tensor([4, 2]), torch.tensor([[5, 0, 3], [1, 1, 8]])
RATE = torch.tensor([0.25, 0.5])


def drawn(site: str, size: int, *, is_mask: bool) -> Drawn:
    of_mask = (threshold(RATE), 1.0 / (1.0 - RATE)) if is_mask else ()
    return Drawn((SEED, site_key(site)), STEP, MEMBERS, ROWS, size, *of_mask)


def made(site: str, n_bins: int, size: int, *, is_mask: bool) -> Tensor:
    streams, n = Streams(SEED, MEMBERS), n_bins * size
    numbers = streams.mask(site, 7, ROWS, n, RATE) if is_mask else streams.normal(site, 7, ROWS, n)
    return numbers.unflatten(-1, (n_bins, size)).transpose(1, 2).contiguous()


@pytest.mark.parametrize("is_free", [False, True], ids=["control", "free"])
def test_numbers_made_in_the_kernel_are_those_of_the_streams(is_free):
    sizes = Sizes(2, 3, 3, 0, 0, 0, 0, 7, 4) if is_free else FEW
    case = random_case(sizes).map(Tensor.float)
    sites = {"generator_mask": (sizes.generator, True)}
    if not is_free:
        sites |= {"factor_mask": (sizes.factors, True), "noise": (sizes.inferred, False)}
    tensors = {k: made(k, sizes.bins, n, is_mask=m) for k, (n, m) in sites.items()}
    draws = {k: drawn(k, n, is_mask=m) for k, (n, m) in sites.items()}
    truth = values_and_gradients(
        replace(case, fixed=tensors).map(Tensor.double), reference.decoder_scan
    )
    assert_exact(replace(case, fixed=tensors), FLOAT32, truth)
    found = values_and_gradients(replace(case, fixed=draws), FLOAT32)
    assert max(relative_errors(found, truth).values()) < 1e-5


def test_values_are_the_same_without_gradients():
    case = random_case(FEW).map(Tensor.float)
    with torch.no_grad():
        free = signals(case.run(FLOAT32))
    followed = values_and_gradients(case, FLOAT32)
    for name, signal in free.items():
        assert signal.is_contiguous()
        assert torch.equal(signal, followed[name])


def test_float64_goes_to_the_portable_backend():
    case = random_case(FEW)
    found, expected = signals(case.run(FLOAT32)), signals(case.run(portable.decoder_scan))
    assert all(torch.equal(found[k], v) for k, v in expected.items())


def test_it_can_be_chosen_with_each_precision():
    assert choose_kernels("triton").name == "triton-float32"
    assert choose_kernels("triton-bf16").decoder_scan.products == Products("bf16")
    with pytest.raises(SettingsError, match="no 'int8', but float32, tf32, bf16"):
        choose_kernels("triton-int8")
    with pytest.raises(SettingsError, match="not in float64"):
        choose_kernels("triton", dtype=torch.float64)
