"""The encoder recurrence in the compiled library, on the CPU. See gru/README.md.

Axes as in gru/reference.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads
from lfads_torch.kernels.gru import portable
from lfads_torch.kernels.gru.reference import GRUWeights

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CompiledGRU", "fits", "last_states", "n_clipped"]


@dataclass(frozen=True)
class CompiledGRU:
    """`gru_scan` of the compiled library with one instruction set.

    With `bf16` the operands of its products are rounded; all else is float32.
    """

    library: Library
    instructions: str
    bf16: bool = False

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

        What the library does not compute (another precision or device, sizes of zero) goes to the
        portable backend.
        """
        tensors = (x, initial_state, weights.input, weights.recurrent, weights.bias)
        if not all(fits(t) for t in tensors) or len(reverse) != initial_state.shape[1]:
            return portable.gru_scan(x, initial_state, weights, reverse=reverse, clip=clip)
        return self._scan(tensors, reverse, clip)[0]

    def ends(
        self,
        x: Float[Tensor, "P T B I"],
        initial_state: Float[Tensor, "P D H"],
        weights: GRUWeights,
        *,
        reverse: tuple[bool, ...],
        clip: float,
    ) -> Float[Tensor, "P D B H"]:
        """The last state of every direction in its own order of reading, and nothing else.

        Its gradient then is not one array of all bins, nearly all of them zero.
        """
        tensors = (x, initial_state, weights.input, weights.recurrent, weights.bias)
        if not all(fits(t) for t in tensors) or len(reverse) != initial_state.shape[1]:
            return portable.gru_ends(x, initial_state, weights, reverse=reverse, clip=clip)
        return self._scan(tensors, reverse, clip)[1]

    def _scan(
        self, tensors: tuple[Tensor, ...], reverse: tuple[bool, ...], clip: float
    ) -> tuple[Tensor, Tensor]:
        """All states and the last ones."""
        call = _Call(self.library, self.instructions, reverse, clip, bf16=self.bf16)
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            states, ends = _Scan.apply(call, *tensors)  # type: ignore[no-untyped-call]
            return states, ends
        states = call.forward(*(t.contiguous() for t in tensors), keep=False)[0]
        return states, last_states(states, reverse)


def last_states(
    states: Float[Tensor, "P D T B H"], reverse: tuple[bool, ...]
) -> Float[Tensor, "P D B H"]:
    """The state after the bin that each direction reads last."""
    return torch.stack([states[:, d, 0 if back else -1] for d, back in enumerate(reverse)], 1)


def fits(tensor: Tensor) -> bool:
    """Whether the library can read it: float32, on the CPU, not empty."""
    is_known = tensor.dtype == torch.float32 and tensor.device.type == "cpu"
    return is_known and tensor.numel() > 0


def n_clipped(n_steps: int, clip: float) -> int:
    """Steps at which the clip can act; see gru/README.md."""
    return n_steps if clip < 1 else min(1, n_steps)


@dataclass(frozen=True)
class _Call:
    library: Library
    instructions: str
    reverse: tuple[bool, ...]
    clip: float
    bf16: bool

    def _numbers(self, x: Tensor, start: Tensor) -> dict[str, int | float]:
        members, bins, trials, inputs = x.shape
        return dict(
            members=members,
            directions=start.shape[1],
            bins=bins,
            trials=trials,
            inputs=inputs,
            size=start.shape[-1],
            starts=1,
            reversed=sum(1 << d for d, backward in enumerate(self.reverse) if backward),
            threads=library_threads(),
            clipped=n_clipped(bins, self.clip),
            bf16=int(self.bf16),
            clip=self.clip,
        )

    def forward(
        self, x: Tensor, start: Tensor, input_weight: Tensor, recurrent: Tensor, bias: Tensor,
        *, keep: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """The states, and with `keep` the gates and where the clip let gradients pass."""
        members, bins, trials, _ = x.shape
        directions, size = start.shape[1:]
        states = x.new_empty(members, directions, bins, trials, size)
        kept = {}
        if keep:
            steps = n_clipped(bins, self.clip)
            kept["gates"] = x.new_empty(members, directions, 3, bins, trials, size)
            kept["unclipped"] = x.new_empty(members, directions, steps, trials, size)
        arrays = dict(
            x=x, start=start, input=input_weight, recurrent=recurrent, bias=bias, states=states
        )
        numbers = self._numbers(x, start)
        self.library.call("gru_forward", self.instructions, numbers, arrays | kept)
        return states, *kept.values()

    def backward(
        self,
        tensors: tuple[Tensor, ...],
        of_states: Tensor | None,
        of_ends: Tensor | None,
        *,
        needs_x: bool,
    ) -> tuple[Tensor | None, ...]:
        x, start, input_weight, recurrent, bias, states, gates, unclipped = tensors
        made = {
            "of_x": torch.empty_like(x) if needs_x else None,
            "of_start": torch.empty_like(start),
            "of_input": torch.empty_like(input_weight),
            "of_recurrent": torch.empty_like(recurrent),
            "of_bias": torch.empty_like(bias),
        }
        arrays = dict(
            x=x, start=start, input=input_weight, recurrent=recurrent, states=states, gates=gates,
            unclipped=unclipped, of_states=None if of_states is None else of_states.contiguous(),
            of_ends=None if of_ends is None else of_ends.contiguous(),
        )  # fmt: skip
        numbers = self._numbers(x, start)
        self.library.call("gru_backward", self.instructions, numbers, arrays | made)
        return tuple(made.values())


class _Scan(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        given = [t.contiguous() for t in tensors]
        x, start, input_weight, recurrent, bias = given
        made = call.forward(x, start, input_weight, recurrent, bias, keep=True)
        ctx.save_for_backward(*given, *made)
        ctx.call = call
        return made[0], last_states(made[0], call.reverse)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_states: Tensor | None, of_ends: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        gradients = call.backward(
            ctx.saved_tensors, of_states, of_ends, needs_x=ctx.needs_input_grad[1]
        )
        return (None, *gradients)
