"""Units in the user's order at both ends of the model."""

from __future__ import annotations

import torch

from lfads_torch.model.sessions import read_in, read_out
from lfads_torch.model.sizes import ModelSizes, SessionSizes
from lfads_torch.model.weights import LinearWeights

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
