"""The generation recurrence in Triton: projections, one kernel over all bins, and products after
it; see README.md. Axes as in decoder/reference.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.decoder import portable
from lfads_torch.kernels.decoder.reference import (
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
    unit_rows,
)
from lfads_torch.kernels.gru.reference import GRUWeights
from lfads_torch.kernels.triton.decoder_gradients import gradients
from lfads_torch.kernels.triton.device_decoder import Arrays, decoder_forward
from lfads_torch.kernels.triton.device_decoder_backward import BackArrays, decoder_backward
from lfads_torch.kernels.triton.draws import Draws
from lfads_torch.kernels.triton.gru import TritonGRU, computes
from lfads_torch.kernels.triton.precision import Cut, Products

__all__ = ["Leaves", "TritonDecoder"]


class Leaves(NamedTuple):
    """What can need a gradient, in the order in which autograd sees it."""

    generator_state: Tensor  # [P, B, G]
    encoder_states: Tensor  # [P, T, B, E]
    external_inputs: Tensor | None  # [P, T, B, X]
    controller_input: Tensor  # [P, E+F, 3C]
    controller_recurrent: Tensor  # [P, C, 3C]
    controller_bias: Tensor  # [P, 3C]
    controller_state: Tensor  # [P, C]
    output_weight: Tensor  # [P, C, 2U]
    output_bias: Tensor  # [P, 2U]
    generator_input: Tensor  # [P, U+X, 3G]
    generator_recurrent: Tensor  # [P, G, 3G]
    generator_bias: Tensor  # [P, 3G]
    to_factors: Tensor  # [P, F, G], rows of unit length

    @property
    def n_inferred(self) -> int:
        return self.output_weight.shape[-1] // 2


@dataclass(frozen=True)
class TritonDecoder:
    """`decoder_scan` as Triton kernels. `cut` is chosen from the sizes unless given."""

    products: Products
    cut: Cut | None = None

    def __call__(
        self, given: DecoderInput, weights: DecoderWeights, *, clip: float
    ) -> DecoderOutput:
        """The same as `reference.decoder_scan`, which defines it. No second derivatives.

        Noise and masks get no gradient. What the kernels do not compute (another precision or
        device, sizes of zero) goes to the portable backend.
        """
        draws = Draws.of(given)
        if weights.controller is None or given.encoder_states is None:
            if not computes([given.generator_state, weights.factors]) or given.n_bins < 1:
                return portable.decoder_scan(draws.made(given), weights, clip=clip)
            return self._generate_freely(draws.made(given), weights, clip)
        leaves = _leaves(given, weights)
        present = [t for t in (*leaves, *draws.tensors()) if t is not None]
        if not computes(present) or not _has_all_bins(given):
            return portable.decoder_scan(draws.made(given), weights, clip=clip)
        call = _Call(self.products, self.cut, draws, given.n_bins, clip)
        if torch.is_grad_enabled() and any(t.requires_grad for t in present):
            return DecoderOutput(*_Generation.apply(call, *leaves))  # type: ignore[no-untyped-call]
        signals = _signals(call.forward(leaves))
        return DecoderOutput(*(signal.contiguous() for signal in signals))

    def _generate_freely(
        self, given: DecoderInput, weights: DecoderWeights, clip: float
    ) -> DecoderOutput:
        """Generation without inferred inputs: a scan, then one product for all factors."""
        state, external = given.generator_state, given.external_inputs
        if external is None:
            external = state.new_zeros(state.shape[0], given.n_bins, state.shape[1], 0)
        elif external.shape[1] < given.n_bins:
            return portable.decoder_scan(given, weights, clip=clip)  # which raises
        generator = weights.generator
        n_unused = generator.input.shape[1] - external.shape[-1]
        one_direction = GRUWeights(
            generator.input[:, None, n_unused:], generator.recurrent[:, None],
            generator.bias[:, None],
        )  # fmt: skip
        scan = TritonGRU(self.products, self.cut).scan_from
        states = scan(
            external[:, : given.n_bins], state[:, None], one_direction, reverse=(False,), clip=clip
        )[:, 0]
        dropped = states if given.generator_mask is None else states * given.generator_mask
        to_factors = unit_rows(weights.factors)
        factors = dropped.flatten(1, 2) @ to_factors.mT
        return DecoderOutput(
            factors.unflatten(1, (given.n_bins, state.shape[1])), states, None, None, None, None
        )


def _leaves(given: DecoderInput, weights: DecoderWeights) -> Leaves:
    controller, external = weights.controller, given.external_inputs
    if controller is None or given.encoder_states is None:
        raise AssertionError("the caller has seen that there is a controller")
    if external is not None and external.shape[-1] == 0:
        external = None
    return Leaves(
        generator_state=given.generator_state,
        encoder_states=given.encoder_states[:, : given.n_bins],
        external_inputs=None if external is None else external[:, : given.n_bins],
        controller_input=controller.cell.input,
        controller_recurrent=controller.cell.recurrent,
        controller_bias=controller.cell.bias,
        controller_state=controller.initial_state,
        output_weight=controller.output_weight,
        output_bias=controller.output_bias,
        generator_input=weights.generator.input,
        generator_recurrent=weights.generator.recurrent,
        generator_bias=weights.generator.bias,
        to_factors=unit_rows(weights.factors),
    )


def _has_all_bins(given: DecoderInput) -> bool:
    """The portable backend raises the error where something is too short."""
    if given.n_bins < 1:
        return False
    signals = (getattr(given, f.name) for f in fields(given))
    in_time = [s for s in signals if isinstance(s, Tensor) and s.dim() == 4]
    return all(s.shape[1] >= given.n_bins for s in in_time)


@dataclass(frozen=True)
class _Call:
    products: Products
    cut: Cut | None
    draws: Draws
    n_bins: int
    clip: float

    def forward(self, leaves: Leaves) -> Arrays:
        """Project what is known in advance, then generate."""
        state, stored = leaves.generator_state, self.products.stored
        P, B, G = state.shape
        T, C, F, U = (
            self.n_bins, leaves.controller_state.shape[-1], leaves.to_factors.shape[1],
            leaves.n_inferred,
        )  # fmt: skip
        n_encoded = leaves.encoder_states.shape[-1]
        first = state if self.draws.first_mask is None else state * self.draws.first_mask
        arrays = Arrays(
            controller_gates=self._projected(
                leaves.encoder_states, leaves.controller_input[:, :n_encoded],
                leaves.controller_bias,
            ),
            controller_states=state.new_empty(P, T + 1, B, C),
            controller_resets=state.new_empty(P, T, B, C),
            generator_gates=self._projected(
                leaves.external_inputs, leaves.generator_input[:, U:], leaves.generator_bias,
                like=(T, B),
            ),
            generator_states=state.new_empty(P, T + 1, B, G),
            generator_resets=state.new_empty(P, T, B, G),
            dropped=state.new_empty(P, T, B, G if self.draws.generator_mask is not None else 0),
            factors=state.new_empty(P, T + 1, B, F),
            seen=state.new_empty(P, T, B, F if self.draws.factor_mask is not None else 0),
            posterior=state.new_empty(P, T, B, 2 * U),
            inputs=state.new_empty(P, T, B, U),
            controller_recurrent=stored(leaves.controller_recurrent),
            controller_input=stored(leaves.controller_input[:, n_encoded:]),
            generator_recurrent=stored(leaves.generator_recurrent),
            generator_input=stored(leaves.generator_input[:, :U]),
            output_weight=stored(leaves.output_weight),
            output_bias=leaves.output_bias.contiguous(),
            to_factors=stored(leaves.to_factors.mT),
        )  # fmt: skip
        arrays.generator_states[:, 0] = state
        arrays.controller_states[:, 0] = leaves.controller_state[:, None]
        arrays.factors[:, 0] = self.products.batched(first, leaves.to_factors.mT)
        self._launch(decoder_forward, arrays, {})
        return arrays

    def _projected(
        self,
        given: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        *,
        like: tuple[int, int] = (0, 0),
    ) -> Tensor:
        """What inputs known in advance give to the gates: [P, T, B, 3H]."""
        if given is None:
            n_bins, n_trials = like
            return bias[:, None, None].expand(-1, n_bins, n_trials, -1).contiguous()
        gates = self.products.batched(given.flatten(1, 2), weight) + bias[:, None]
        return gates.view(*given.shape[:3], -1)

    def _launch(self, kernel: Any, arrays: Arrays | BackArrays, used: dict[str, bool]) -> None:
        # Any: Triton's kernels have no useful type.
        n_members, n_bins, n_trials, triple = arrays.generator_gates.shape
        G, C = triple // 3, arrays.controller_states.shape[-1]
        U, cut = arrays.posterior.shape[-1] // 2, self.cut
        if cut is None:
            cut = Cut.fit(self.products, n_trials=n_trials, n_cells=n_members, size=max(G, C))
        factors = arrays.factors if isinstance(arrays, Arrays) else arrays.of_factors
        draws = self.draws.for_kernel(like=factors)
        kernel[(n_members, triton.cdiv(n_trials, cut.trials))](
            arrays,
            *draws,
            float(self.clip),
            n_bins,
            n_trials,
            C=C,
            U=U,
            G=G,
            F=factors.shape[-1],
            **self.draws.kinds(),
            **used,
            **cut.in_kernel(),
            **self.products.in_kernel(),
        )

    def backward(self, leaves: Leaves, made: Arrays, arriving: list[Tensor | None]) -> BackArrays:
        """Walk back; `arriving` are the gradients of the outputs in the order of DecoderOutput."""
        of_factors, of_generator, of_controller, of_mean, of_variance, of_inputs = arriving
        stored, U = self.products.stored, leaves.n_inferred
        n_encoded = leaves.encoder_states.shape[-1]
        nothing = made.inputs[:0]
        total = torch.zeros_like(made.factors)
        if of_factors is not None:
            total[:, 1:] = of_factors
        of_posterior = torch.zeros_like(made.posterior)
        for half, gradient in zip(of_posterior.split(U, -1), (of_mean, of_variance), strict=True):
            if gradient is not None:
                half.copy_(gradient)
        arrays = BackArrays(
            controller_gates=made.controller_gates,
            controller_states=made.controller_states,
            generator_gates=made.generator_gates,
            generator_states=made.generator_states,
            posterior=made.posterior,
            of_controller_gates=torch.empty_like(made.controller_gates),
            of_generator_gates=torch.empty_like(made.generator_gates),
            of_posterior=of_posterior,
            of_factors=total,
            of_generator_states=nothing if of_generator is None else of_generator.contiguous(),
            of_controller_states=nothing if of_controller is None else of_controller.contiguous(),
            of_inputs=nothing if of_inputs is None else of_inputs.contiguous(),
            generator_carry=torch.zeros_like(made.generator_states[:, 0]).contiguous(),
            controller_carry=torch.zeros_like(made.controller_states[:, 0]).contiguous(),
            controller_recurrent=stored(leaves.controller_recurrent.mT),
            controller_input=stored(leaves.controller_input[:, n_encoded:].mT),
            generator_recurrent=stored(leaves.generator_recurrent.mT),
            generator_input=stored(leaves.generator_input[:, :U].mT),
            output_weight=stored(leaves.output_weight.mT),
            from_factors=stored(leaves.to_factors),
        )
        used = {
            "GENERATOR_USED": of_generator is not None,
            "CONTROLLER_USED": of_controller is not None,
            "INPUTS_USED": of_inputs is not None,
        }
        self._launch(decoder_backward, arrays, used)
        return arrays


def _signals(made: Arrays) -> tuple[Tensor, ...]:
    """In the order of DecoderOutput."""
    mean, log_variance = made.posterior.chunk(2, -1)
    states = (made.factors, made.generator_states, made.controller_states)
    return (*(s[:, 1:] for s in states), mean, log_variance, made.inputs)


class _Generation(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Any) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        made = call.forward(Leaves(*tensors))
        ctx.call = call
        ctx.save_for_backward(*tensors, *made)
        return _signals(made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        names = Leaves._fields
        leaves = Leaves(*ctx.saved_tensors[: len(names)])
        made = Arrays(*ctx.saved_tensors[len(names) :])
        walked = call.backward(leaves, made, list(arriving))
        needs = dict(zip(names, ctx.needs_input_grad[1:], strict=True))
        found = gradients(call.products, leaves, made, walked, call.draws.first_mask, needs)
        return (None, *(found.get(name) for name in names))
