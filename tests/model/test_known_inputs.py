"""External and trial inputs: which part gets which bin of them, and what they change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import Tiny

from lfads_torch.config.read import read_settings
from lfads_torch.errors import SettingsError
from lfads_torch.model.inputs import known_inputs
from lfads_torch.model.lfads import ModelInput, ModelOutput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.sizes import ModelSizes
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.task import Computation, Task, TaskData, build_task

P, B, L, E, X, C = 2, 3, 9, 7, 2, 3


def task_of(*, n_trial_inputs: int = 0, n_external_inputs: int = X, **model) -> Task:
    """A task whose sizes have trial inputs too."""
    tiny = Tiny(n_external_inputs=n_external_inputs, model=model)
    usual = tiny.task()
    sizes = replace(usual.sizes, n_trial_inputs=n_trial_inputs)
    return build_task(
        usual.model,
        usual.loss,
        usual.training,
        data=TaskData(
            sizes=sizes,
            bin_width_s=0.01,
            observations=usual.observations,
            readout_biases={"session": torch.full((5,), -0.5)},
        ),
        computation=Computation(usual.kernels, usual.device, usual.dtype),
    )


def weights_of(task: Task) -> torch.Tensor:
    return Tiny().state(task, members=range(P)).weights


def run(task: Task, flat, *, counts=None, external=None, trial=None) -> ModelOutput:
    random = torch.Generator().manual_seed(2)
    usual = torch.poisson(torch.full((P, B, E, 5), 1.0, dtype=torch.float64), random)
    given = ModelInput((usual if counts is None else counts,), (0,), external, trial_inputs=trial)
    weights = ModelWeights.arrange(task.layout.views(flat), task.session_names)
    return lfads(given, weights, Silence(), task.model, task.sizes, kernels=task.kernels)


def external() -> torch.Tensor:
    return torch.randn(P, B, L, X, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def reacting_bins(task: Task, bin_: int) -> list[int]:
    """Generated bins whose factors change with the external input of one recording bin."""
    flat = weights_of(task)
    changed = external()
    changed[:, :, bin_] += 1.0
    one, other = run(task, flat, external=external()), run(task, flat, external=changed)
    differs = (one.signals.factors - other.signals.factors).abs().amax((0, 2, 3)) > 0
    return differs.nonzero().flatten().tolist()


@pytest.mark.parametrize("ic_bins", [0, 2])
def test_generator_and_controller_get_each_bin_in_its_own_bin(ic_bins):
    for part in ("generator", "controller"):
        task = task_of(ic_bins=ic_bins, external_inputs_to=part)
        for bin_ in (ic_bins, 5, L - 1):
            first = bin_ - ic_bins
            assert reacting_bins(task, bin_) == list(range(first, L - ic_bins))
        if ic_bins:
            assert reacting_bins(task, 0) == []


def test_the_encoders_get_the_encoded_bins_beside_the_counts():
    task = task_of(external_inputs_to="encoders")
    assert reacting_bins(task, 3) == list(range(L))  # through the initial condition
    assert reacting_bins(task, E) == []  # forward bins are not encoded
    assert task.layout.views(weights_of(task))["ic_encoder.input"].shape[2] == 3 + X


def test_inputs_that_go_nowhere_change_nothing_and_take_no_weights():
    task = task_of(external_inputs_to="none")
    assert all(reacting_bins(task, bin_) == [] for bin_ in range(L))
    assert task.layout.n == task_of(n_external_inputs=0).layout.n


def test_without_a_controller_the_generator_still_gets_them():
    task = task_of(n_inferred_inputs=0, external_inputs_to="generator,encoders")
    assert reacting_bins(task, E) == [E, E + 1]


def test_a_constant_input_of_the_generator_is_a_bias_of_its_gates():
    task = task_of(n_trial_inputs=C, n_external_inputs=0)
    flat = weights_of(task)
    named = task.layout.views(flat)
    trial = torch.randn(1, 1, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = run(task, flat, trial=trial.expand(P, B, C))
    biased = flat.clone()
    shift = (trial.expand(P, 1, C) @ named["generator.input"][:, -C:])[:, 0]
    task.layout.views(biased)["generator.bias"].add_(shift)
    zero = torch.zeros(P, B, C, dtype=torch.float64)
    torch.testing.assert_close(given.signals.factors, run(task, biased, trial=zero).signals.factors)


def test_a_context_bias_shifts_the_first_state_by_its_learned_map_and_starts_at_zero():
    task = task_of(n_trial_inputs=C, n_external_inputs=0, trial_inputs_to="initial_condition")
    spec = next(spec for spec in task.layout.specs if spec.name == "context.weight")
    assert (spec.shape, spec.fan_in, spec.constant) == ((C, 6), None, 0.0)
    flat = weights_of(task)
    trial = torch.randn(P, B, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = run(task, flat, trial=torch.zeros_like(trial))
    shifted = run(task, flat, trial=trial)
    expected = trial @ task.layout.views(flat)["context.weight"]
    torch.testing.assert_close(shifted.generator_start - plain.generator_start, expected)


@pytest.mark.parametrize("part", ["encoders", "controller", "generator"])
def test_trial_inputs_stand_after_the_external_ones(part):
    model = task_of(external_inputs_to=part, trial_inputs_to=part, ic_bins=2).model
    sizes = ModelSizes(
        n_bins=L, n_encoded_bins=E, sessions=(), n_external_inputs=X, n_trial_inputs=C
    )
    trial = torch.arange(float(P * B * C)).view(P, B, C).double()
    known = known_inputs(external(), trial, model, sizes)
    found = getattr(known, part)
    bins = slice(0, E) if part == "encoders" else slice(2, L)
    assert torch.equal(found[..., :X], external()[:, :, bins])
    assert torch.equal(found[..., X:], trial[:, :, None].expand(-1, -1, found.shape[2], -1))
    others = {"encoders", "controller", "generator", "initial_condition"} - {part}
    assert all(getattr(known, other) is None for other in others)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (("model.external_inputs_to=generater",), "names generater; needed are any of controller"),
        (("model.external_inputs_to=initial_condition",), "names initial_condition"),
        (
            ("model.trial_inputs_to=controller", "model.n_inferred_inputs=0"),
            "names the controller, and model.n_inferred_inputs is 0",
        ),
    ],
)
def test_parts_that_are_not_there_say_so(overrides, text):
    with pytest.raises(SettingsError, match=text):
        read_settings(overrides=overrides)
