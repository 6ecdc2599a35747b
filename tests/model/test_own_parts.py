"""Parts of somebody's own go through the contracts; ours, taken that way, give the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import MODEL, Tiny, gradients_of_one_step
from torch import Tensor

from lfads_torch.errors import SettingsError
from lfads_torch.model.cells.gru import GRUGenerator
from lfads_torch.model.parts import ModelParts, choose_parts
from lfads_torch.model.settings import ModelSettings
from lfads_torch.training.step import training_step

BY_CONTRACT = {
    "generator": "lfads_torch.model.cells.gru:GRUGenerator",
    "ic_encoder": "lfads_torch.model.encoders.gru:GRUEncoder",
    "controller_encoder": "lfads_torch.model.encoders.gru:GRUEncoder",
    "read_out": "lfads_torch.model.read_outs.linear:LinearReadOut",
}


def one_step(model: dict[str, object], **recipe: int) -> tuple[Tensor, dict[str, Tensor]]:
    tiny = Tiny(model=model, kernels="portable", augmentation={"dropout_rate": 0.2}, **recipe)  # type: ignore[arg-type]
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
