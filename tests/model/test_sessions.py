"""Units in the user's order at both ends of the model."""

from __future__ import annotations

import torch
from tiny_models import MODEL

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.sessions import read_in, read_out
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.model.weights import Layout, LinearWeights, ModelWeights, model_specs

SESSION = SessionSizes(name="a", n_units=5, encoded_units=(1, 4, 2), n_parameters=2)


def test_the_encoder_gets_the_encoded_units_in_the_order_named():
    counts = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    assert torch.equal(read_in(counts, SESSION, None), counts[..., [1, 4, 2]])


def test_a_read_in_acts_on_the_encoded_units_alone():
    random = torch.Generator().manual_seed(1)
    counts, weight = (
        torch.randn(2, 3, 4, 5, generator=random),
        torch.randn(2, 3, 7, generator=random),
    )
    bias = torch.randn(2, 7, generator=random)
    found = read_in(counts, SESSION, LinearWeights(weight, bias))
    for p in range(2):
        expected = counts[p][..., [1, 4, 2]] @ weight[p] + bias[p]
        torch.testing.assert_close(found[p], expected)


def test_parameters_stand_in_the_users_unit_order_one_block_per_parameter():
    random = torch.Generator().manual_seed(2)
    factors = torch.randn(2, 4, 3, 6, generator=random)  # [P, T, B, F]
    weight, bias = torch.randn(2, 6, 10, generator=random), torch.randn(2, 10, generator=random)
    found = read_out(factors, SESSION, LinearWeights(weight, bias))
    assert found.shape == (2, 3, 4, 2, 5)
    for k in range(2):
        for n in range(5):
            column = k * 5 + n
            expected = torch.einsum("ptbf,pf->pbt", factors, weight[:, :, column])
            torch.testing.assert_close(found[:, :, :, k, n], expected + bias[:, None, None, column])


def test_the_encoders_width_is_that_of_the_encoded_units_or_of_the_read_in():
    sizes = ModelSizes(n_bins=4, n_encoded_bins=3, sessions=(SESSION,))
    assert sizes.encoder_input_size == 3
    with_readin = ModelSizes(n_bins=4, n_encoded_bins=3, sessions=(SESSION,), readin_size=7)
    assert with_readin.encoder_input_size == 7


def test_a_joint_batch_of_two_sessions_is_each_of_them_alone_in_any_order():
    other = SessionSizes(name="b", n_units=3, encoded_units=(0, 2), n_parameters=2)
    sizes = ModelSizes(n_bins=6, n_encoded_bins=5, sessions=(SESSION, other), readin_size=4)
    starts = {each.name: torch.zeros(2 * each.n_units) for each in sizes.sessions}
    layout = Layout(tuple(model_specs(MODEL, sizes, starts)))
    random = torch.Generator().manual_seed(3)
    flat = 0.5 * torch.randn(2, layout.n, generator=random, dtype=torch.float64)
    weights = ModelWeights.arrange(layout.views(flat), ("a", "b"))
    counts = [
        torch.randn(2, n_trials, 5, each.n_units, generator=random, dtype=torch.float64)
        for n_trials, each in zip((3, 1), sizes.sessions, strict=True)
    ]

    def parameters(*sessions: int) -> dict[int, torch.Tensor]:
        given = ModelInput(tuple(counts[s] for s in sessions), sessions)
        output = lfads(given, weights, Silence(), MODEL, sizes, kernels=choose_kernels("reference"))
        return dict(zip(sessions, output.parameters, strict=True))

    together, turned = parameters(0, 1), parameters(1, 0)
    for session, n_units in ((0, 5), (1, 3)):
        alone = parameters(session)[session]
        assert alone.shape[-2:] == (2, n_units)
        for joint in (together, turned):
            torch.testing.assert_close(joint[session], alone, rtol=1e-12, atol=1e-13)
