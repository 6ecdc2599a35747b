"""What tests of Triton kernels share: they run in the interpreter, in `make check-triton`."""

from __future__ import annotations

import pytest
from torch import Tensor

__all__ = ["relative_errors", "require_interpreter", "total_error"]


def require_interpreter() -> None:
    """Skip a module unless Triton is there and interprets."""
    triton = pytest.importorskip("triton", reason="Triton is not installed: make check-triton")
    if not triton.knobs.runtime.interpret:
        pytest.skip("needs TRITON_INTERPRET=1: make check-triton", allow_module_level=True)


def relative_errors(found: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Of each tensor, in Euclidean norm."""
    assert found.keys() == truth.keys()
    assert all(found[k].shape == v.shape for k, v in truth.items())
    return {
        k: float((found[k] - v).norm() / v.norm().clamp_min(1e-30))
        for k, v in truth.items()
        if v.numel()
    }


def total_error(found: dict[str, Tensor], truth: dict[str, Tensor]) -> float:
    """Of all tensors together."""
    squares = sum(float((found[k] - v).square().sum()) for k, v in truth.items())
    return float((squares / sum(float(v.square().sum()) for v in truth.values())) ** 0.5)
