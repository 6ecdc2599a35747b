"""Noise and masks of the decoder as its kernels take them: tensors, or what fixes the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lfads_torch.kernels.decoder.reference import DecoderInput
from lfads_torch.kernels.drawn import Drawn
from lfads_torch.kernels.triton import device_draws
from lfads_torch.kernels.triton.device_draws import Draw
from lfads_torch.kernels.triton.random import TritonDraw

__all__ = ["Draws"]


@dataclass(frozen=True)
class Draws:
    """`first_mask` is applied outside of the kernel; it is always a tensor or None."""

    first_mask: Tensor | None
    noise: Tensor | Drawn | None
    generator_mask: Tensor | Drawn | None
    factor_mask: Tensor | Drawn | None

    @classmethod
    def of(cls, given: DecoderInput) -> Draws:
        first, n_bins = given.initial_generator_mask, given.n_bins
        # Any: DecoderInput speaks of tensors alone, which is what all other backends take.
        fixed: tuple[Any, ...] = (given.noise, given.generator_mask, given.factor_mask)
        return cls(
            None if first is None else first.contiguous(),
            *(
                None if each is None else each.contiguous()[:, :n_bins].contiguous()
                if isinstance(each, Tensor) else each
                for each in fixed
            ),
        )  # fmt: skip

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Those that are tensors."""
        fixed = (self.first_mask, self.noise, self.generator_mask, self.factor_mask)
        return tuple(each for each in fixed if isinstance(each, Tensor))

    def made(self, given: DecoderInput) -> DecoderInput:
        """The same with tensors for everything, for a backend that draws nothing itself."""
        return replace(
            given,
            noise=_made(self.noise, given.n_bins),
            generator_mask=_made(self.generator_mask, given.n_bins),
            factor_mask=_made(self.factor_mask, given.n_bins),
        )

    def kinds(self) -> Mapping[str, int]:
        """Compile-time arguments of a kernel."""
        named = {
            "NOISE": self.noise,
            "GENERATOR_MASK": self.generator_mask,
            "FACTOR_MASK": self.factor_mask,
        }
        return {name: _kind(each) for name, each in named.items()}

    def for_kernel(self, *, like: Tensor) -> tuple[Draw, Draw, Draw]:
        """`like` stands for what is not there: any tensor on the device."""
        noise, generator, factors = (
            _for_kernel(each, like) for each in (self.noise, self.generator_mask, self.factor_mask)
        )
        return noise, generator, factors


def _kind(given: Tensor | Drawn | None) -> int:
    if given is None:
        kind = device_draws.NOTHING
    else:
        kind = device_draws.GIVEN if isinstance(given, Tensor) else device_draws.DRAWN
    return int(kind.value)


def _for_kernel(given: Tensor | Drawn | None, like: Tensor) -> Draw:
    if not isinstance(given, Drawn):
        return Draw(*[like if given is None else given] * len(Draw._fields))
    words = [torch.full((1,), word, device=like.device) for word in given.key]
    members = given.members.contiguous()
    return Draw(
        tensor=like,
        key=torch.cat(words),
        step=given.step,
        members=members,
        rows=given.rows.contiguous(),
        threshold=members if given.threshold is None else given.threshold.contiguous(),
        scale=like if given.scale is None else given.scale.float().contiguous(),
    )


def _made(given: Tensor | Drawn | None, n_bins: int) -> Tensor | None:
    """[P, T, B, n] of a draw, by the kernel that fills tensors."""
    if not isinstance(given, Drawn):
        return given
    draw = TritonDraw(given.key, given.step, given.members, given.rows)
    made: Tensor
    if given.threshold is None or given.scale is None:
        normals = draw.normal(n_bins * given.size)
        made = normals.unflatten(-1, (n_bins, given.size)).transpose(1, 2)
    else:
        made = draw.mask(given.size, given.threshold, given.scale, bins=n_bins)
    return made.contiguous()
