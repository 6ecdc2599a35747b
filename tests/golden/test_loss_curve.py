"""A stored loss curve: whatever changes the numbers of training must be meant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from training_cases import Case, epochs

GOLDEN = Path(__file__).with_name("loss_curve.json")


def test_the_loss_curve_is_the_stored_one():
    """1e-7: rounding of sums, exp and tanh (1e-16) depends on the machine, training grows it."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    case = Case(missing_share=0.1)
    reports = epochs(case, case.state((0, 1)), 6)
    assert golden.keys() <= reports[0].values.keys()
    for name, curve in golden.items():
        found = [report.values[name] for report in reports]
        np.testing.assert_allclose(found, curve, rtol=1e-7, err_msg=name)
