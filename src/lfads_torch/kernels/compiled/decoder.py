"""The generation recurrence in the compiled library, on the CPU. See decoder/README.md.

Axes as in decoder/reference.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lfads_torch.kernels.compiled.gru import fits, n_clipped
from lfads_torch.kernels.compiled.library import Library
from lfads_torch.kernels.compiled.threads import library_threads
from lfads_torch.kernels.decoder import portable
from lfads_torch.kernels.decoder.reference import (
    DecoderInput,
    DecoderOutput,
    DecoderWeights,
    unit_rows,
)

__all__ = ["CompiledDecoder"]

# The arguments in the order in which autograd sees them; of the first four only gradients of
# signals are wanted, the fixed ones have none.
_SIGNALS = ("generator_state", "encoder_states", "external_inputs")
_FIXED = ("noise", "first_mask", "generator_mask", "factor_mask")
_CONTROLLER = (
    "controller_input", "controller_recurrent", "controller_bias", "controller_state",
    "output_weight", "output_bias",
)  # fmt: skip
_GENERATOR = ("generator_input", "generator_recurrent", "generator_bias", "to_factors")
_NAMES = (*_SIGNALS, *_FIXED, *_CONTROLLER, *_GENERATOR)
_MADE = (
    "made_factors", "generator_states", "controller_states", "means", "log_variances", "inputs",
)  # fmt: skip
_KEPT = (
    "first_factors", "generator_gates", "controller_gates", "generator_unclipped",
    "controller_unclipped",
)  # fmt: skip

_Arrays = Mapping[str, Tensor | None]


@dataclass(frozen=True)
class CompiledDecoder:
    """`decoder_scan` of the compiled library with one instruction set.

    With `bf16` the operands of its products are rounded; all else is float32.
    """

    library: Library
    instructions: str
    bf16: bool = False

    def __call__(
        self, given: DecoderInput, weights: DecoderWeights, *, clip: float
    ) -> DecoderOutput:
        """The same as `reference.decoder_scan`, which defines it. No second derivatives.

        Noise and masks get no gradient. What the library does not compute (another precision or
        device, sizes of zero) goes to the portable backend.
        """
        arguments = _arguments(given, weights)
        present = [t for t in arguments.values() if t is not None]
        if not all(fits(t) for t in present) or not _has_all_bins(given):
            return portable.decoder_scan(given, weights, clip=clip)
        call = _Call(self.library, self.instructions, given.n_bins, clip, bf16=self.bf16)
        if torch.is_grad_enabled() and any(t.requires_grad for t in present):
            made = _Generation.apply(call, *arguments.values())  # type: ignore[no-untyped-call]
            return DecoderOutput(*made)
        values, _ = call.forward(_contiguous(arguments), keep=False)
        made = tuple(values.values())
        return DecoderOutput(*made)


def _arguments(given: DecoderInput, weights: DecoderWeights) -> dict[str, Tensor | None]:
    controller = None if given.encoder_states is None else weights.controller
    external = given.external_inputs
    if external is not None and external.shape[-1] == 0:
        external = None
    arguments: dict[str, Tensor | None] = dict.fromkeys(_NAMES)
    arguments |= dict(
        generator_state=given.generator_state,
        external_inputs=None if external is None else external[:, : given.n_bins],
        first_mask=given.initial_generator_mask,
        generator_mask=given.generator_mask,
        generator_recurrent=weights.generator.recurrent,
        generator_bias=weights.generator.bias,
        generator_input=weights.generator.input,
        to_factors=unit_rows(weights.factors),
    )
    if controller is None or given.encoder_states is None:
        # Without inferred inputs only the last rows of the input weight are read.
        n_external = 0 if external is None else external.shape[-1]
        n_unused = weights.generator.input.shape[1] - n_external
        used = weights.generator.input[:, n_unused:]
        return arguments | dict(generator_input=used if n_external else None)
    return arguments | dict(
        encoder_states=given.encoder_states[:, : given.n_bins],
        noise=given.noise,
        factor_mask=given.factor_mask,
        controller_input=controller.cell.input,
        controller_recurrent=controller.cell.recurrent,
        controller_bias=controller.cell.bias,
        controller_state=controller.initial_state,
        output_weight=controller.output_weight,
        output_bias=controller.output_bias,
    )


def _has_all_bins(given: DecoderInput) -> bool:
    """The portable backend raises the error where something is too short."""
    if given.n_bins < 1:
        return False
    signals = (getattr(given, f.name) for f in fields(given))
    in_time = [s for s in signals if isinstance(s, Tensor) and s.dim() == 4]
    return all(s.shape[1] >= given.n_bins for s in in_time)


def _contiguous(arrays: _Arrays) -> dict[str, Tensor | None]:
    return {name: None if t is None else t.contiguous() for name, t in arrays.items()}


@dataclass(frozen=True)
class _Call:
    library: Library
    instructions: str
    n_bins: int
    clip: float
    bf16: bool

    def _sizes(self, given: _Arrays) -> dict[str, int]:
        state, read = given["generator_state"], given["to_factors"]
        if state is None or read is None:
            raise AssertionError("there is always an initial state and a readout to factors")
        encoded, external = given["encoder_states"], given["external_inputs"]
        output = given["output_weight"]
        return dict(
            members=state.shape[0],
            bins=self.n_bins,
            trials=state.shape[1],
            encoded=0 if encoded is None else encoded.shape[-1],
            controller=0 if output is None else output.shape[1],
            inferred=0 if output is None else output.shape[2] // 2,
            external=0 if external is None else external.shape[-1],
            generator=state.shape[2],
            factors=read.shape[1],
            threads=library_threads(),
            clipped=n_clipped(self.n_bins, self.clip),
            bf16=int(self.bf16),
        )

    def forward(
        self, given: _Arrays, *, keep: bool
    ) -> tuple[dict[str, Tensor | None], dict[str, Tensor | None]]:
        """The signals in the order of DecoderOutput, and with `keep` what backward needs."""
        sizes, like = self._sizes(given), given["to_factors"]
        P, T, B = sizes["members"], sizes["bins"], sizes["trials"]
        C, U, G = sizes["controller"], sizes["inferred"], sizes["generator"]
        F, clipped = sizes["factors"], sizes["clipped"]

        def empty(*shape: int) -> Tensor | None:
            return None if 0 in shape or like is None else like.new_empty(shape)

        made = {
            name: empty(P, T, B, size) for name, size in zip(_MADE, (F, G, C, U, U, U), strict=True)
        }
        kept = dict(
            first_factors=empty(P, B, F),
            generator_gates=empty(P, 3, T, B, G),
            controller_gates=empty(P, 3, T, B, C),
            generator_unclipped=empty(P, clipped, B, G),
            controller_unclipped=empty(P, clipped, B, C),
        ) if keep else {}  # fmt: skip
        numbers = {**sizes, "clip": self.clip}
        arrays = {**given, **made, **kept}
        self.library.call("decoder_forward", self.instructions, numbers, arrays)
        return made, kept

    def backward(
        self, given: _Arrays, arriving: _Arrays, needs: Mapping[str, bool]
    ) -> dict[str, Tensor | None]:
        """The gradient of each argument by its name; of signals known in advance on demand."""
        gradients = {
            name: torch.empty_like(tensor)
            for name in (*_SIGNALS, *_CONTROLLER, *_GENERATOR)
            if (tensor := given[name]) is not None
            and (needs[name] or name not in ("encoder_states", "external_inputs"))
        }
        arrays = {
            **given,
            **_contiguous({f"of_{name.removeprefix('made_')}": g for name, g in arriving.items()}),
            **{f"of_{name}": gradient for name, gradient in gradients.items()},
        }
        numbers = {**self._sizes(given), "clip": self.clip}
        self.library.call("decoder_backward", self.instructions, numbers, arrays)
        return dict(gradients)


class _Generation(torch.autograd.Function):
    # Any: autograd's context has no useful type, and PyTorch leaves these signatures open.
    @staticmethod
    def forward(ctx: Any, call: _Call, *arguments: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        given = _contiguous(dict(zip(_NAMES, arguments, strict=True)))
        made, kept = call.forward(given, keep=True)
        ctx.call = call
        ctx.save_for_backward(*given.values(), *made.values(), *kept.values())
        return tuple(made.values())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *arriving: Tensor | None) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        saved = dict(zip((*_NAMES, *_MADE, *_KEPT), ctx.saved_tensors, strict=True))
        needs = dict(zip(_NAMES, ctx.needs_input_grad[1:], strict=True))
        gradients = call.backward(saved, dict(zip(_MADE, arriving, strict=True)), needs)
        return (None, *(gradients.get(name) for name in _NAMES))
