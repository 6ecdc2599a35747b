"""The generation recurrence: its definition against a slow loop, and every backend against it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from decoder_cases import (
    CELL,
    SIZES,
    Case,
    Sizes,
    random_case,
    random_gradients,
    signals,
    values_and_gradients,
)
from torch import Tensor

from lfads_torch.kernels.decoder import portable, reference
from lfads_torch.kernels.decoder.reference import DecoderOutput


@pytest.fixture(autouse=True)
def fresh_memory_is_nan():
    """What a kernel reads before it wrote it shows up as NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal up to the rounding of float64, relative to the largest entry of each tensor."""
    assert found.keys() == expected.keys()
    for name, b in expected.items():
        assert found[name].shape == b.shape, name
        largest = float(b.abs().max()) if b.numel() else 1.0
        np.testing.assert_allclose(found[name], b, rtol=0, atol=1e-12 * largest, err_msg=name)


class SlowCell:
    """The equations of the unit for one trial of one member, one number at a time."""

    def __init__(self, weights: tuple[np.ndarray, ...], clip: float) -> None:
        self.input, self.recurrent, self.bias = weights
        self.clip = clip

    def step(self, inputs: list[float], h: list[float]) -> list[float]:
        size = len(h)

        def before(column: int, state: list[float]) -> float:
            total = self.bias[column]
            total += sum(x * self.input[i, column] for i, x in enumerate(inputs))
            return total + sum(s * self.recurrent[j, column] for j, s in enumerate(state))

        z = [1 / (1 + np.exp(-before(j, h))) for j in range(size)]
        r = [1 / (1 + np.exp(-before(size + j, h))) for j in range(size)]
        reset = [r[j] * h[j] for j in range(size)]
        n = [np.tanh(before(2 * size + j, reset)) for j in range(size)]
        new = [z[j] * h[j] + (1 - z[j]) * n[j] for j in range(size)]
        return [min(max(value, -self.clip), self.clip) for value in new]


def slow_scan(case: Case) -> dict[str, np.ndarray]:
    """Generation of every trial of every member by itself."""
    n_members, n_trials = case.tensors["generator_state"].shape[:2]
    rows = [[slow_trial(case, p, b) for b in range(n_trials)] for p in range(n_members)]
    stacked = {k: np.array([[trial[k] for trial in row] for row in rows]) for k in rows[0][0]}
    return {k: v.swapaxes(1, 2) for k, v in stacked.items() if v.size}


def slow_trial(case: Case, p: int, b: int) -> dict[str, list[list[float]]]:
    w = {k: v[p].numpy() for k, v in case.tensors.items()}
    ones = np.ones((case.n_bins, case.tensors["factors"].shape[-1]))
    masks = {k: v[p].numpy() for k, v in case.fixed.items()}
    generator = SlowCell((w["input"], w["recurrent"], w["bias"]), case.clip)
    rows = [[value / np.sqrt(sum(v * v for v in row)) for value in row] for row in w["factors"]]

    def factors_of(state: list[float], mask: np.ndarray) -> list[float]:
        return [sum(v * s * m for v, s, m in zip(row, state, mask, strict=True)) for row in rows]

    state = list(w["generator_state"][b])
    initial_mask = masks["initial_generator_mask"][b] if masks else ones[0]
    factors = factors_of(state, initial_mask)
    control_state = list(w["control_start"]) if "control_start" in w else []
    kept: dict[str, list[list[float]]] = {f.name: [] for f in fields(DecoderOutput)}
    for t in range(case.n_bins):
        inputs: list[float] = []
        if control_state:
            cell = tuple(w[name] for name in CELL)
            mask = masks["factor_mask"][t, b] if masks else np.ones(len(factors))
            seen = [f * m for f, m in zip(factors, mask, strict=True)]
            read = [*w["encoder_states"][t, b], *seen]
            control_state = SlowCell(cell, case.clip).step(read, control_state)
            posterior = [
                bias + sum(c * v for c, v in zip(control_state, column, strict=True))
                for column, bias in zip(w["output_weight"].T, w["output_bias"], strict=True)
            ]
            half = len(posterior) // 2
            mean, log_variance = posterior[:half], posterior[half:]
            noise = masks["noise"][t, b] if masks else np.zeros(half)
            inputs = [
                m + np.exp(v / 2) * e for m, v, e in zip(mean, log_variance, noise, strict=True)
            ]
            kept["controller_states"].append(control_state)
            kept["input_mean"].append(mean)
            kept["input_log_variance"].append(log_variance)
            kept["inputs"].append(inputs)
        external = list(w["external_inputs"][t, b]) if "external_inputs" in w else []
        state = generator.step([*inputs, *external], state)
        factors = factors_of(state, masks["generator_mask"][t, b] if masks else ones[t])
        kept["generator_states"].append(state)
        kept["factors"].append(factors)
    return kept


@pytest.mark.parametrize("fixed", [True, False], ids=["masks and noise", "mean"])
@pytest.mark.parametrize("n_external", [0, 2])
@pytest.mark.parametrize("n_control", [0, 3])
def test_the_reference_follows_the_equations(n_control, n_external, fixed):
    sizes = Sizes(2, 4, 3, 2 * n_control, n_control, n_control and 2, n_external, 5, 3)
    case = random_case(sizes, fixed=fixed)
    found, expected = signals(case.run(reference.decoder_scan)), slow_scan(case)
    assert found.keys() == expected.keys()
    for name, signal in found.items():
        np.testing.assert_allclose(signal, expected[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("clip", [5.0, 0.3])
def test_the_gradient_of_the_reference_is_that_of_its_values(clip):
    case = random_case(Sizes(2, 3, 2, 2, 2, 1, 1, 3, 2), clip=clip)
    names = list(case.tensors)

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(names, tensors, strict=True))
        return tuple(signals(replace(case, tensors=named).run(reference.decoder_scan)).values())

    leaves = [t.requires_grad_() for t in case.tensors.values()]
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("fixed", [True, False], ids=["masks and noise", "mean"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_portable_agrees_with_the_reference(sizes, fixed):
    case = random_case(sizes, fixed=fixed)
    expected = values_and_gradients(case, reference.decoder_scan)
    assert_same(values_and_gradients(case, portable.decoder_scan), expected)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_portable_is_as_exact_in_float32_as_the_reference(sizes):
    """Both are held against float64; the limit is 2e-6 or three times the reference's error."""
    single = random_case(sizes).map(Tensor.float)
    truth = values_and_gradients(single.map(Tensor.double), reference.decoder_scan)
    usual = values_and_gradients(single, reference.decoder_scan)
    found = values_and_gradients(single, portable.decoder_scan)
    for name, true in truth.items():
        assert found[name].dtype == torch.float32
        if true.numel():
            limit = max(2e-6 * true.abs().max(), 3 * (usual[name] - true).abs().max())
            assert (found[name] - true).abs().max() <= limit, name


@pytest.mark.parametrize("clip", [1.5, 1.0, 0.7, 0.2])
def test_portable_clips_where_the_reference_does(clip):
    case = random_case(Sizes(external=1), clip=clip)
    expected = values_and_gradients(case, reference.decoder_scan)
    for name in ("generator_states", "controller_states"):
        n_at_clip = (expected[name].abs() == clip).sum(dim=(0, 2, 3))
        assert n_at_clip[0] > 0
        assert (n_at_clip[1:] > 0).any() == (clip < 1)
    assert_same(values_and_gradients(case, portable.decoder_scan), expected)


@pytest.mark.parametrize(
    ("kind", "used"),
    [("external", f.name) for f in fields(DecoderOutput)]
    + [("free", "factors"), ("free", "generator_states")],
)
def test_a_gradient_may_arrive_at_any_one_output(kind, used):
    case = random_case(SIZES[kind])
    expected = values_and_gradients(case, reference.decoder_scan, (used,))
    assert_same(values_and_gradients(case, portable.decoder_scan, (used,)), expected)


@pytest.mark.parametrize(
    "kept", ["initial_generator_mask", "generator_mask", "factor_mask", "noise"]
)
def test_masks_and_noise_are_independent_of_each_other(kept):
    case = random_case(Sizes())
    case = replace(case, fixed={kept: case.fixed[kept]})
    expected = values_and_gradients(case, reference.decoder_scan)
    assert_same(values_and_gradients(case, portable.decoder_scan), expected)


@pytest.mark.parametrize("needed", list(random_case(Sizes(external=1)).tensors))
def test_only_what_needs_a_gradient_gets_one(needed):
    case = random_case(Sizes(external=1))
    expected = values_and_gradients(case, reference.decoder_scan)[f"gradient of {needed}"]
    leaf = case.tensors[needed].clone().requires_grad_()
    found = signals(replace(case, tensors=case.tensors | {needed: leaf}).run(portable.decoder_scan))
    weights = random_gradients(found)
    torch.stack([(found[k] * weights[k]).sum() for k in found]).sum().backward()
    assert_same({needed: leaf.grad}, {needed: expected})


@pytest.mark.parametrize("sizes", [Sizes(external=1), SIZES["free, external"]], ids=str)
def test_storage_order_does_not_matter(sizes):
    case = random_case(sizes)
    expected = values_and_gradients(case, reference.decoder_scan)

    def scattered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.transpose(0, -1).contiguous().transpose(0, -1) for k, v in tensors.items()}

    other = replace(case, tensors=scattered(case.tensors), fixed=scattered(case.fixed))
    leaves = {k: v.requires_grad_() for k, v in other.tensors.items()}
    assert not leaves["generator_state"].is_contiguous()
    found = signals(replace(other, tensors=leaves).run(portable.decoder_scan))
    weights = scattered(random_gradients(found))
    gradients = torch.autograd.grad(
        list(found.values()), list(leaves.values()), list(weights.values())
    )
    named = {f"gradient of {k}": g for k, g in zip(leaves, gradients, strict=True)}
    assert_same({k: v.detach() for k, v in found.items()} | named, expected)


@pytest.mark.parametrize("scan", [reference.decoder_scan, portable.decoder_scan])
@pytest.mark.parametrize("sizes", [SIZES["external"], SIZES["free"]], ids=["control", "free"])
def test_a_population_is_its_members_side_by_side(scan, sizes):
    case = random_case(sizes)
    together = signals(case.run(scan))
    for p in range(sizes.members):
        for name, alone in signals(case.map(lambda v, p=p: v[p : p + 1]).run(scan)).items():
            torch.testing.assert_close(together[name][p : p + 1], alone, rtol=0, atol=1e-12)


def test_a_row_of_zeros_gives_a_factor_of_zero():
    case = random_case(Sizes())
    case.tensors["factors"][:, 1] = 0
    for scan in (reference.decoder_scan, portable.decoder_scan):
        assert (case.run(scan).factors[..., 1] == 0).all()


@pytest.mark.parametrize("sizes", [Sizes(external=1), SIZES["free, external"]], ids=str)
def test_values_are_the_same_without_gradients(sizes):
    case = random_case(sizes)
    leaves = {k: v.clone().requires_grad_() for k, v in case.tensors.items()}
    case = replace(case, tensors=leaves)
    with torch.no_grad():
        free = signals(case.run(portable.decoder_scan))
    followed = signals(case.run(portable.decoder_scan))
    for name, signal in free.items():
        assert not signal.requires_grad
        assert signal.is_contiguous()
        assert torch.equal(signal, followed[name])


def test_second_derivatives_are_refused():
    case = random_case(Sizes())
    leaf = case.tensors["bias"].clone().requires_grad_()
    output = replace(case, tensors=case.tensors | {"bias": leaf}).run(portable.decoder_scan)
    (gradient,) = torch.autograd.grad(output.factors.square().sum(), [leaf], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("scan", [reference.decoder_scan, portable.decoder_scan])
def test_nothing_to_generate_is_an_error(scan):
    with pytest.raises(ValueError, match="at least one bin"):
        random_case(replace(Sizes(), bins=0)).run(scan)


@pytest.mark.parametrize("missing", ["encoder_states", "external_inputs"])
@pytest.mark.parametrize("scan", [reference.decoder_scan, portable.decoder_scan])
def test_too_few_bins_of_an_input_are_an_error(scan, missing):
    case = random_case(Sizes(external=1))
    case.tensors[missing] = case.tensors[missing][:, :3]
    # TypeError: with --check-shapes the checker is the first to say it.
    with pytest.raises((ValueError, IndexError, RuntimeError, TypeError)):
        case.run(scan)
