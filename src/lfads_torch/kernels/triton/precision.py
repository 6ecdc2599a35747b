"""How products are computed, in the kernels and around them, and how the work is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import triton
from torch import Tensor

__all__ = ["PRECISIONS", "Cut", "Precision", "Products", "runs_in_interpreter"]

Precision = Literal["float32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bf16")


def runs_in_interpreter() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU (TRITON_INTERPRET=1)."""
    return bool(triton.knobs.runtime.interpret)


@dataclass(frozen=True)
class Products:
    """Operands of products in this precision; sums, states and gradients are always float32.

    `tf32` holds inside the kernels; products of PyTorch around them follow PyTorch's own setting.
    """

    precision: Precision

    def stored(self, weight: Tensor) -> Tensor:
        """A weight as the kernels read it: contiguous, in the type of the operands."""
        if self.precision == "bf16":
            return weight.to(torch.bfloat16).contiguous()
        return weight.contiguous()

    def batched(self, left: Tensor, right: Tensor) -> Tensor:
        """`left @ right` for batches of matrices [P, ., .], in float32."""
        if self.precision != "bf16":
            return torch.bmm(left, right)
        left, right = left.to(torch.bfloat16), right.to(torch.bfloat16)
        if left.device.type == "cuda":
            return torch.bmm(left, right, out_dtype=torch.float32)
        return torch.bmm(left.float(), right.float())

    def in_kernel(self) -> dict[str, Any]:
        """Compile-time arguments of a kernel. Any: numbers, words and truth values."""
        is_bf16 = self.precision == "bf16"
        return {
            "PRECISION": "tf32" if self.precision == "tf32" else "ieee",
            "EMULATED": is_bf16 and runs_in_interpreter(),
        }


@dataclass(frozen=True)
class Cut:
    """How a scan is cut: trials per program, columns and depth of one product, warps of 32 threads.

    With these, a population's kernels for sm_90 keep their values in registers, up to 16 bytes
    (Triton 3.6 and 3.7; benchmarks/gpu_compile.py).
    """

    trials: int
    columns: int
    depth: int
    warps: int = 8

    @classmethod
    def fit(cls, products: Products, *, n_trials: int, n_cells: int, size: int) -> Cut:
        """A first choice from the sizes; nothing but the speed depends on it beyond rounding.

        32 trials per program where that still gives every multiprocessor of a large GPU (132) a
        program, else 16, the fewest that the matrix units take. Not tuned on a GPU yet.
        """
        is_many = n_cells * triton.cdiv(n_trials, 32) >= 132
        return cls(
            trials=32 if is_many else 16,
            columns=min(64, max(16, triton.next_power_of_2(size))),
            depth=min(64 if products.precision == "bf16" else 32, triton.next_power_of_2(size)),
        )

    def in_kernel(self) -> dict[str, int]:
        return {
            "TILE": self.trials,
            "COLUMNS": self.columns,
            "CHUNK": max(16, self.depth),
            "num_warps": self.warps,
        }
