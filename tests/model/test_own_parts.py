"""Parts of somebody's own go through the contracts; ours, taken that way, give the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import MODEL, Tiny, gradients_of_one_step
from torch import Tensor

from lfads_torch.errors import SettingsError
from lfads_torch.model.cells.gru import GRUGenerator
from lfads_torch.model.encoder import encode
from lfads_torch.model.noise import Silence
from lfads_torch.model.parts import ModelParts, choose_parts
from lfads_torch.model.settings import ModelSettings
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.step import training_step

BY_CONTRACT = {
    "generator": "lfads_torch.model.cells.gru:GRUGenerator",
    "ic_encoder": "lfads_torch.model.encoders.gru:GRUEncoder",
    "controller_encoder": "lfads_torch.model.encoders.gru:GRUEncoder",
    "read_out": "lfads_torch.model.read_outs.linear:LinearReadOut",
}


def one_step(model: dict[str, object], **recipe: object) -> tuple[Tensor, dict[str, Tensor]]:
    given = {"kernels": "portable", "augmentation": {"dropout_rate": 0.2}, **recipe}
    tiny = Tiny(model=model, **given)  # type: ignore[arg-type]
    task = tiny.task()
    state = tiny.state(task, (0, 5, 2))
    index = torch.tensor([[0, 2, 1], [3, 1, 0], [2, 2, 3]])
    report = training_step(state, task, (tiny.trials(),), (index,), seed=7)
    return report.terms.loss, gradients_of_one_step(state, task)


@pytest.mark.parametrize("part", [*BY_CONTRACT, "all"])
@pytest.mark.parametrize("sizes", [{}, {"n_inferred_inputs": 0, "ic_bins": 2}], ids=str)
def test_ours_by_the_contract_give_what_the_kernels_give(part: str, sizes: dict[str, int]) -> None:
    chosen = BY_CONTRACT if part == "all" else {part: BY_CONTRACT[part]}
    loss, gradients = one_step({**sizes})
    found_loss, found = one_step({**sizes, **chosen})
    torch.testing.assert_close(found_loss, loss, rtol=1e-11, atol=1e-11)
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


def test_without_any_input_the_generator_runs_too() -> None:
    sizes = {"n_inferred_inputs": 0}
    loss, _ = one_step({**sizes}, n_external_inputs=0)
    found, _ = one_step({**sizes, **BY_CONTRACT}, n_external_inputs=0)
    torch.testing.assert_close(found, loss, rtol=1e-11, atol=1e-11)


def test_trials_of_unequal_length_are_read_alike() -> None:
    tasks = [Tiny(model=model).task() for model in ({}, BY_CONTRACT)]
    x = torch.randn(2, 4, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ends = torch.tensor([[7, 3, 5, 9], [4, 9, 6, 3]])
    found = []
    for task in tasks:
        state = Tiny().state(task, (0, 1))
        weights = ModelWeights.arrange(
            task.layout.views(state.weights), task.session_names, task.parts
        )
        found.append(
            encode(
                x, weights, Silence(), task.model,
                kernels=task.kernels, n_generated=9, n_trial_bins=ends,
            )
        )  # fmt: skip
    ours, own = found
    torch.testing.assert_close(own.mean, ours.mean, rtol=1e-11, atol=1e-11)
    assert ours.controller_states is not None
    assert own.controller_states is not None
    torch.testing.assert_close(
        own.controller_states, ours.controller_states, rtol=1e-11, atol=1e-11
    )


def test_a_causal_controller_sees_the_past_of_an_own_encoder_alone() -> None:
    task = Tiny(model={**BY_CONTRACT, "causal_controller": True}).task()
    shapes = {spec.name: spec.shape for spec in task.layout.specs}
    seen = MODEL.controller_encoder_size + MODEL.n_factors
    assert shapes["controller.input"] == (seen, 3 * MODEL.controller_size)
    loss, _ = one_step({**BY_CONTRACT, "causal_controller": True})
    assert bool(loss.isfinite().all())


def test_the_fast_kernels_and_parts_of_ones_own_go_together() -> None:
    """In single precision the library computes what it knows, and leaves the rest."""
    recipe = {"kernels": "auto", "dtype": torch.float32}
    loss, _ = one_step({}, **recipe)
    for part, place in BY_CONTRACT.items():
        found, _ = one_step({part: place}, **recipe)
        torch.testing.assert_close(found, loss, rtol=2e-5, atol=2e-5, msg=part)


def test_an_own_generator_takes_the_reference_scan_and_says_so() -> None:
    task = Tiny(model=BY_CONTRACT, kernels="portable").task()
    assert task.kernels.name == "portable"
    assert "the reference scan, for lfads_torch.model.cells.gru:GRUGen" in task.kernels.reason
    assert task.kernels.decoder_scan.__module__ == "lfads_torch.kernels.decoder.reference"
    assert Tiny(kernels="portable").task().kernels.reason == "forced"


def test_no_part_of_ones_own_is_the_default() -> None:
    assert choose_parts(ModelSettings()) == ModelParts()


def test_a_name_that_is_no_part_is_told() -> None:
    with pytest.raises(SettingsError, match=r"model.generator: there is no 'gruu'"):
        choose_parts(replace(MODEL, generator="gruu"))
    with pytest.raises(
        SettingsError, match=r"model.ic_encoder: .*GRUGenerator' is of another kind"
    ):
        choose_parts(replace(MODEL, ic_encoder=BY_CONTRACT["generator"]))


def test_l2_weighs_what_a_part_says() -> None:
    parts = ModelParts(generator=GRUGenerator())
    assert parts.recurrent_weights("generator") == ("generator.recurrent",)
    assert parts.recurrent_weights("controller") == ("controller.recurrent",)
    assert parts.recurrent_weights("ic_encoder") == ("ic_encoder.recurrent",)
