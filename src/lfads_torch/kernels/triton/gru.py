"""The encoder recurrence in Triton: projections, then one kernel over all bins; see README.md.

Axes as in gru/reference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.gru import portable
from lfads_torch.kernels.gru.reference import GRUWeights
from lfads_torch.kernels.triton.device_gru import Backward, Forward, gru_backward, gru_forward
from lfads_torch.kernels.triton.precision import Cut, Products, runs_in_interpreter

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["TritonGRU", "computes"]


def computes(tensors: Sequence[Tensor]) -> bool:
    """Whether the kernels can read these: float32, not empty, on the GPU (or interpreted)."""
    where = "cpu" if runs_in_interpreter() else "cuda"
    return all(
        t.dtype == torch.float32 and t.device.type == where and t.numel() > 0 for t in tensors
    )


@dataclass(frozen=True)
class TritonGRU:
    """`gru_scan` as Triton kernels. `cut` is chosen from the sizes unless given."""

    products: Products
    cut: Cut | None = None

    def __call__(
        self,
        x: Float[Tensor, "P T B I"],
        initial_state: Float[Tensor, "P D H"],
        weights: GRUWeights,
        *,
        reverse: tuple[bool, ...],
        clip: float,
    ) -> Float[Tensor, "P D T B H"]:
        """The same as `reference.gru_scan`, which defines it. No second derivatives.

        What the kernels do not compute (another precision or device, sizes of zero) goes to the
        portable backend.
        """
        start = initial_state[:, :, None]
        return self.scan_from(x, start, weights, reverse=reverse, clip=clip)

    def scan_from(
        self,
        x: Float[Tensor, "P T B I"],
        initial_state: Float[Tensor, "P D S H"],
        weights: GRUWeights,
        *,
        reverse: tuple[bool, ...],
        clip: float,
    ) -> Float[Tensor, "P D T B H"]:
        """With an initial state for every trial (S = B) or one for all (S = 1).

        Only the inputs may have no entries at all (I = 0).
        """
        tensors = (x, initial_state, weights.input, weights.recurrent, weights.bias)
        not_inputs = (x[:, :, :, :0].sum(3), initial_state, weights.recurrent, weights.bias)
        if not computes(not_inputs) or len(reverse) != initial_state.shape[1]:
            return portable.scan_from(x, initial_state, weights, reverse=reverse, clip=clip)
        call = _Call(self.products, self.cut, reverse, clip)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            states: Tensor = _Scan.apply(call, *tensors)  # type: ignore[no-untyped-call]
            return states
        return call.in_time(call.forward(*tensors).states)


@dataclass(frozen=True)
class _Call:
    products: Products
    cut: Cut | None
    reverse: tuple[bool, ...]
    clip: float

    def _launch(self, kernel: Any, arrays: Forward | Backward) -> None:
        # Any: Triton's kernels have no useful type.
        n_members, n_bins, n_trials, n_directions, triple = arrays.gates.shape
        size, n_cells = triple // 3, n_members * n_directions
        cut = self.cut or Cut.fit(self.products, n_trials=n_trials, n_cells=n_cells, size=size)
        kernel[(n_cells, triton.cdiv(n_trials, cut.trials))](
            arrays,
            sum(1 << d for d, backward in enumerate(self.reverse) if backward),
            float(self.clip),
            n_bins,
            n_trials,
            D=n_directions,
            H=size,
            **cut.in_kernel(),
            **self.products.in_kernel(),
        )

    def forward(
        self, x: Tensor, start: Tensor, input_weight: Tensor, recurrent: Tensor, bias: Tensor
    ) -> Forward:
        """Project all inputs of all directions in one product, then scan."""
        n_members, n_bins, n_trials, n_inputs = x.shape
        n_directions, _, size = start.shape[1:]
        columns = n_directions * 3 * size
        side_by_side = input_weight.transpose(1, 2).reshape(n_members, n_inputs, columns)
        flat = x.reshape(n_members, n_bins * n_trials, n_inputs)
        gates = self.products.batched(flat, side_by_side) + bias.reshape(n_members, 1, -1)
        states = x.new_empty(n_members, n_directions, n_bins + 1, n_trials, size)
        for d, backward in enumerate(self.reverse):
            states[:, d, n_bins if backward else 0] = start[:, d]
        arrays = Forward(
            gates=gates.view(n_members, n_bins, n_trials, n_directions, 3 * size),
            states=states,
            reset_states=torch.empty_like(states[:, :, 1:], memory_format=torch.contiguous_format),
            recurrent=self.products.stored(recurrent),
        )
        self._launch(gru_forward, arrays)
        return arrays

    def in_time(self, states: Tensor) -> Tensor:
        """The state after each bin, out of the kernel's T + 1 entries."""
        return torch.stack(
            [
                states[:, d, :-1] if backward else states[:, d, 1:]
                for d, backward in enumerate(self.reverse)
            ],
            1,
        )

    def before(self, states: Tensor, direction: int) -> Tensor:
        """The state before each bin of one direction, [P, T*B, H]."""
        own = states[:, direction]
        return (own[:, 1:] if self.reverse[direction] else own[:, :-1]).flatten(1, 2)

    def backward(self, tensors: Sequence[Tensor], of_states: Tensor) -> Backward:
        recurrent, gates, states = tensors
        arrays = Backward(
            gates=gates,
            states=states,
            of_states=of_states.contiguous(),
            of_gates=torch.empty_like(gates),
            carry=torch.zeros_like(states[:, :, 0], memory_format=torch.contiguous_format),
            recurrent=self.products.stored(recurrent.mT),
        )
        self._launch(gru_backward, arrays)
        return arrays


class _Scan(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> Tensor:
        arrays = call.forward(*tensors)
        x, start, input_weight, recurrent, _ = tensors
        kept = (arrays.gates, arrays.states, arrays.reset_states)
        ctx.save_for_backward(x, input_weight, recurrent, *kept)
        ctx.call, ctx.n_starts = call, start.shape[2]
        return call.in_time(arrays.states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor) -> tuple[Tensor | None, ...]:
        x, input_weight, recurrent, gates, states, reset_states = ctx.saved_tensors
        call: _Call = ctx.call
        made = call.backward((recurrent, gates, states), of_states)
        of_gates = made.of_gates.flatten(1, 2)  # [P, T*B, D, 3H]
        of_start = made.carry.sum(2, keepdim=True) if ctx.n_starts == 1 else made.carry
        all_gates = of_gates.flatten(2)
        of_input = call.products.batched(x.flatten(1, 2).mT, all_gates)
        of_input = of_input.unflatten(2, gates.shape[3:]).transpose(1, 2)
        of_x = None
        if ctx.needs_input_grad[1]:
            side_by_side = input_weight.transpose(1, 2).flatten(2)
            of_x = call.products.batched(all_gates, side_by_side.mT).view(x.shape)
        of_recurrent = torch.stack(
            [
                _of_recurrent(call, states, reset_states, of_gates, direction)
                for direction in range(gates.shape[3])
            ],
            1,
        )
        return None, of_x, of_start, of_input, of_recurrent, of_gates.sum(1)


def _of_recurrent(
    call: _Call, states: Tensor, reset_states: Tensor, of_gates: Tensor, direction: int
) -> Tensor:
    """Update and reset gate read the state, the candidate reads it after the reset gate."""
    size = states.shape[-1]
    own = of_gates[:, :, direction]
    before = call.before(states, direction)
    after_reset = reset_states[:, direction].flatten(1, 2)
    return torch.cat(
        [
            call.products.batched(before.mT, own[..., : 2 * size]),
            call.products.batched(after_reset.mT, own[..., 2 * size :]),
        ],
        -1,
    )
