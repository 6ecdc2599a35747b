"""Fitted estimators, made once for all their tests, which no test may change."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_estimator import WIDTH, counts, tiny

from lfads_torch import LFADS


@pytest.fixture(scope="session")
def X() -> Any:
    return counts()


@pytest.fixture(scope="session")
def fitted(X: Any) -> LFADS:
    return tiny(n_seeds=2).fit(X, bin_width_s=WIDTH)


@pytest.fixture(scope="session")
def trained(X: Any) -> LFADS:
    """Trained for longer, on counts that hold nothing but their units' means."""
    settings = {"training.epochs": 60, "training.learning_rate": 0.02, "model.generator_size": 16}
    return tiny(settings).fit(X, bin_width_s=WIDTH)
