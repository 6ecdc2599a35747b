"""A stored loss curve: whatever changes the numbers of training must be meant, and be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_curve import CURVES, loss_curve, require_raised

from lfads_torch.training.arithmetic import ARITHMETIC

GOLDEN = Path(__file__).with_name("loss_curve.json")


@pytest.fixture
def golden() -> dict[str, Any]:
    return dict(json.loads(GOLDEN.read_text(encoding="utf-8")))


def test_the_loss_curve_is_the_stored_one(golden):
    """1e-7: rounding of sums, exp and tanh (1e-16) depends on the machine, training grows it."""
    found = loss_curve()
    assert golden.keys() == found.keys() == {"arithmetic", *CURVES}
    for name in CURVES:
        np.testing.assert_allclose(found[name], golden[name], rtol=1e-7, err_msg=name)


def test_the_stored_curve_is_of_the_present_arithmetic(golden):
    assert golden["arithmetic"] == ARITHMETIC


def test_other_curves_are_stored_with_a_raised_number_alone(golden):
    other = {**golden, "l2": [[2 * value for value in row] for row in golden["l2"]]}
    with pytest.raises(ValueError, match=r"l2 differs .* raise ARITHMETIC in training/arithmetic"):
        require_raised(golden, other)
    require_raised(golden, {**other, "arithmetic": ARITHMETIC + 1})
    require_raised(golden, golden)
