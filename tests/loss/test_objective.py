"""The whole loss against a slow loop, its composition, and its gradient for every weight."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from slow_model import step_wise_divergence
from tiny_models import KeyedNoise, Tiny

from lfads_torch.loss.objective import LossTerms, LossWeights, objective
from lfads_torch.loss.reconstruction import Target
from lfads_torch.model.lfads import ModelInput, ModelOutput, lfads
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.step import external_inputs, gather, loss_weights, ramp

INDEX = torch.tensor([[0, 2, 3], [1, 0, 2]])


class Batch:
    """Two members, each with its own three trials, ready for any weights."""

    def __init__(self, tiny: Tiny, index: torch.Tensor = INDEX) -> None:
        self.task, trials = tiny.task(), tiny.trials()
        state = tiny.state(self.task, members=range(len(index)))
        self.weights, self.halfway = state.weights, halfway(state, self.task)
        self.gathered = gather(trials, index, self.task, session=0)
        external = external_inputs((trials,), (index,), self.task)
        self.given = ModelInput((self.gathered.encoded,), (0,), external)

    @property
    def named(self) -> dict[str, torch.Tensor]:
        return self.task.layout.views(self.weights)

    def run(
        self, noise: KeyedNoise, named=None, weights: LossWeights | None = None
    ) -> tuple[ModelOutput, LossTerms]:
        task, named, batch = self.task, named or self.named, self.gathered
        output = lfads(
            self.given, ModelWeights.arrange(named, task.session_names), noise, task.model,
            task.sizes, kernels=task.kernels,
        )  # fmt: skip
        terms = objective(
            output,
            (Target(batch.target, batch.constant, batch.is_present),),
            named,
            observations=task.observations,
            priors=task.priors,
            weights=weights or self.halfway,
            settings=task.loss,
        )
        return output, terms


def halfway(state, task) -> LossWeights:
    """Ramps in the middle, different ones, so that none can be mistaken for another or for 1."""
    full = loss_weights(state, task)
    quarter = torch.full_like(full.ramp_kl, 0.25)
    return replace(full, ramp_kl=quarter, ramp_l2=3.0 * quarter)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("missing_share", [0.0, 0.3])
@pytest.mark.parametrize("ic_bins", [0, 2])
def test_every_term_is_the_slow_loop(ic_bins, missing_share, reduction):
    tiny = Tiny(
        missing_share=missing_share,
        model={"ic_bins": ic_bins},
        loss={"scale": 1e4, "reconstruction": reduction},
    )
    prepared = Batch(tiny)
    batch, named = prepared.gathered, prepared.named
    output, terms = prepared.run(KeyedNoise(2, 3))
    for p in range(2):
        own = {name: value[p].numpy() for name, value in named.items()}
        nats, n_present = slow_reconstruction(output.parameters[0][p], batch, p)
        reconstruction = nats / n_present
        if reduction == "sum":
            reconstruction *= (tiny.n_bins - ic_bins) * tiny.n_units
        kl_ic, kl_inputs, l2 = *slow_divergences(output, own, p), slow_penalty(own)
        expected = {
            "loss": 1e4 * (reconstruction + 0.75 * l2 + 0.25 * (0.3 * kl_ic + 0.2 * kl_inputs)),
            "reconstruction": reconstruction,
            "kl_initial_condition": kl_ic,
            "kl_inputs": kl_inputs,
            "l2": l2,
        }
        for field in fields(LossTerms):
            found = float(getattr(terms, field.name)[p])
            assert found == pytest.approx(expected[field.name], rel=1e-9), field.name


def slow_reconstruction(parameters: torch.Tensor, batch, p: int) -> tuple[float, int]:
    """Total nats of one member's present entries, and how many there are."""
    nats, n_present = 0.0, 0
    for entry in np.ndindex(*batch.target.shape[1:]):
        if batch.is_present is not None and not batch.is_present[(p, *entry)]:
            continue
        b, t, n = entry
        rate = math.exp(float(parameters[b, t, 0, n]))
        y = float(batch.target[p, b, t, n])
        nats += rate - y * math.log(rate) + math.lgamma(y + 1.0)
        n_present += 1
    return nats, n_present


def slow_divergences(output: ModelOutput, own, p: int) -> tuple[float, float]:
    """Both divergences of one member, means over its trials."""
    posterior, inputs = output.initial_condition, output.inputs
    n_trials, n_dimensions = posterior.mean.shape[1:]
    kl_ic, kl_inputs = 0.0, 0.0
    for b in range(n_trials):
        for d in range(n_dimensions):
            m, s2 = float(posterior.mean[p, b, d]), float(posterior.variance[p, b, d])
            gap = (m - own["initial_condition_prior.mean"][d]) ** 2
            kl_ic += 0.5 * (math.log(0.1 / s2) + (gap + s2) / 0.1 - 1.0)
        kl_inputs += step_wise_divergence(
            inputs.mean[p, :, b].numpy(),
            inputs.variance[p, :, b].numpy(),
            inputs.sample[p, :, b].numpy(),
            tau=np.exp(own["input_prior.log_time_constant"]),
            v=np.exp(own["input_prior.log_variance"]),
        )
    return kl_ic / n_trials, kl_inputs / n_trials


def slow_penalty(own) -> float:
    scales = {"ic_encoder": 0.5, "controller": 0.7, "generator": 2.0}  # of tiny_models.LOSS
    above = sum(
        s * 0.5 * float((own[f"{part}.recurrent"] ** 2).sum()) for part, s in scales.items()
    )
    return above / sum(own[f"{part}.recurrent"].size for part in scales)


def test_without_inferred_inputs_their_divergence_is_zero():
    tiny = Tiny(model={"n_inferred_inputs": 0})
    _, terms = Batch(tiny).run(KeyedNoise(2, 3))
    assert terms.kl_inputs.tolist() == [0.0, 0.0]
    assert bool(terms.loss.isfinite().all())


def test_weights_of_zero_leave_the_reconstruction_alone():
    prepared = Batch(Tiny(loss={"scale": 7.0}))
    zero = torch.zeros_like(prepared.halfway.ramp_kl)
    none = replace(prepared.halfway, ramp_kl=zero, ramp_l2=zero)
    _, terms = prepared.run(KeyedNoise(2, 3), weights=none)
    torch.testing.assert_close(terms.loss, 7.0 * terms.reconstruction, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize(
    ("start", "increase", "clock", "expected"),
    [
        (0, 80, 0, 1 / 81), (0, 80, 39, 40 / 81), (0, 80, 79, 80 / 81), (0, 80, 80, 1.0),
        (0, 80, 500, 1.0), (10, 4, 0, 0.0), (10, 4, 9, 0.0), (10, 4, 10, 0.2),
        (10, 4, 13, 0.8), (10, 4, 14, 1.0), (0, 0, 0, 1.0), (3, 0, 2, 0.0), (3, 0, 3, 1.0),
    ],
)  # fmt: skip
def test_ramps_rise_from_their_start(start, increase, clock, expected):
    found = ramp(torch.tensor([clock, 10**6]), start, increase)
    assert found.tolist() == pytest.approx([expected, 1.0], rel=1e-12)


@pytest.mark.parametrize(("unit", "clock"), [("epochs", "epochs"), ("steps", "steps")])
def test_every_member_ramps_by_its_own_clock(unit, clock):
    tiny = Tiny(loss={
        "ramp_unit": unit, "kl_ramp_start": 2, "kl_ramp_increase": 3, "l2_ramp_increase": 9,
    })  # fmt: skip
    task = tiny.task()
    state = tiny.state(task, members=(0, 1, 2))
    setattr(state.clocks, clock, torch.tensor([0, 3, 4]))
    found = loss_weights(state, task)
    assert found.ramp_kl.tolist() == pytest.approx([0.0, 0.5, 0.75])
    assert found.ramp_l2.tolist() == pytest.approx([0.1, 0.4, 0.5])


GRADIENT_CASES = {
    "usual": Tiny(missing_share=0.2),
    "factorised": Tiny(loss={"input_divergence": "factorised"}),
    "normal prior": Tiny(model={"input_prior": "normal"}, observation="gaussian"),
    "initial segment, sum": Tiny(model={"ic_bins": 2}, loss={"reconstruction": "sum"}),
    "no controller": Tiny(model={"n_inferred_inputs": 0}),
    "clip is active": Tiny(model={"cell_clip": 0.35}),
}


@pytest.mark.parametrize("kernels", ["reference", "portable"])
@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_the_gradient_of_the_loss_is_that_of_its_values_for_every_weight(name, kernels):
    """Central differences along random directions of each named weight, in float64."""
    tiny = replace(GRADIENT_CASES[name], kernels=kernels, n_bins=5, n_encoded_bins=4)
    prepared = Batch(tiny)
    layout, start = prepared.task.layout, prepared.weights
    noise = KeyedNoise(2, 3, dropout_rate=0.2)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return prepared.run(noise, layout.views(flat))[1].loss

    leaf = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    random = torch.Generator().manual_seed(1)
    step = 1e-5
    for spec in layout.specs:
        place = slice(layout.offsets[spec.name], layout.offsets[spec.name] + spec.n)
        direction = torch.zeros_like(start)
        direction[:, place] = torch.randn(2, spec.n, generator=random, dtype=start.dtype)
        with torch.no_grad():
            measured = (loss(start + step * direction) - loss(start - step * direction)) / (
                2 * step
            )
        expected = (gradient * direction).sum(1)
        torch.testing.assert_close(
            measured, expected, rtol=1e-5, atol=1e-7, msg=lambda text, n=spec.name: f"{n}: {text}"
        )
        assert bool((gradient[:, place] != 0).any(1).all()) or spec.n == 0, spec.name


def test_gradcheck_of_the_smallest_model():
    """Every single entry of every weight, as torch.autograd.gradcheck measures it."""
    tiny = Tiny(
        n_bins=3, n_encoded_bins=2, n_units=2, encoded_units=(1,), n_external_inputs=1,
        model={
            "ic_encoder_size": 1, "controller_encoder_size": 1, "controller_size": 1,
            "generator_size": 2, "n_factors": 2, "n_inferred_inputs": 1,
            "initial_condition_size": 1,
        },
    )  # fmt: skip
    prepared, noise = Batch(tiny, INDEX[:1]), KeyedNoise(1, 3)
    views = prepared.task.layout.views
    assert torch.autograd.gradcheck(
        lambda flat: prepared.run(noise, views(flat))[1].loss, (prepared.weights.requires_grad_(),)
    )
