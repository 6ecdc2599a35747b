"""The stored curves of training: how they are made, and when others may take their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from training_cases import Case, epochs

from lfads_torch.training.arithmetic import ARITHMETIC

__all__ = ["CURVES", "loss_curve", "require_raised"]

CURVES = (
    "loss", "reconstruction", "kl_initial_condition", "kl_inputs", "l2", "gradient_norm",
    "valid_reconstruction", "valid_score",
)  # fmt: skip


def loss_curve() -> dict[str, Any]:
    case = Case(missing_share=0.1)
    reports = epochs(case, case.state((0, 1)), 6)
    curves = {name: [report.values[name] for report in reports] for name in CURVES}
    return {"arithmetic": ARITHMETIC, **curves}


def require_raised(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ValueError where curves changed and the number of the arithmetic did not."""
    if before["arithmetic"] != now["arithmetic"]:
        return
    for name in CURVES:
        if not np.allclose(before[name], now[name], rtol=1e-7, atol=0.0):
            raise ValueError(
                f"{name} differs from what is stored for arithmetic {now['arithmetic']}: raise "
                "ARITHMETIC in training/arithmetic.py, or mend what changed the results."
            )
