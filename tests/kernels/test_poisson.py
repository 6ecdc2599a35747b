"""The read-out and Poisson likelihood in one operation, against autograd through the definition."""

from __future__ import annotations

import pytest
import torch
from poisson_cases import NAMES, definition, random_case, values_and_gradients

from lfads_torch.kernels.poisson import poisson_nats

SIZES = [(1, 1, 1, 1, 1), (3, 4, 33, 3, 7), (2, 5, 400, 2, 3)]  # the last in several blocks


@pytest.mark.parametrize("masks", ["", "present", "gradient", "present and gradient"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_value_and_gradients_are_those_of_the_definition(sizes, masks):
    case = random_case(sizes, masks)
    found = values_and_gradients(case, poisson_nats)
    truth = values_and_gradients(case, definition)
    for name in NAMES:
        torch.testing.assert_close(found[name], truth[name], rtol=1e-12, atol=1e-11)


def test_without_gradients_the_value_is_the_same():
    case = random_case(SIZES[1], "present")
    with torch.no_grad():
        value = poisson_nats(*case.leaves, **case.fixed())
    truth = definition(*case.leaves, **case.fixed())
    torch.testing.assert_close(value, truth, rtol=1e-12, atol=0)


def test_a_member_is_the_same_in_any_population():
    case = random_case(SIZES[1], "gradient")
    together = poisson_nats(*case.leaves, **case.fixed())
    one = case.members(slice(1, 2))
    alone = poisson_nats(*one.leaves, **one.fixed())
    torch.testing.assert_close(together[1:2], alone, rtol=1e-12, atol=0)
