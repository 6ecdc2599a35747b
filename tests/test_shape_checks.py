"""With `--check-shapes` a wrong shape is refused where it enters."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from lfads_torch.kernels.decoder.reference import ControllerWeights, unit_rows
from lfads_torch.kernels.gru.reference import GRUWeights


@pytest.fixture
def _checked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--check-shapes"):
        pytest.skip("shapes are checked with --check-shapes, as in `make test`")


@pytest.mark.usefixtures("_checked")
def test_a_wrong_rank_is_refused() -> None:
    assert unit_rows(torch.ones(1, 3, 5)).shape == (1, 3, 5)
    with pytest.raises(TypeCheckError, match="P F G"):
        unit_rows(torch.ones(3, 5))


@pytest.mark.usefixtures("_checked")
def test_a_record_whose_axes_disagree_is_refused() -> None:
    cell = GRUWeights(
        input=torch.ones(1, 2, 9), recurrent=torch.ones(1, 3, 9), bias=torch.ones(1, 9)
    )
    with pytest.raises(TypeCheckError):
        ControllerWeights(
            cell=cell,
            initial_state=torch.ones(1, 3),
            output_weight=torch.ones(1, 33, 4),
            output_bias=torch.ones(1, 4),
        )
