"""All randomness: Philox 4x32-10, a pure function of (seed, site, step, member, row, element).

A number never depends on what else is computed: not on the size of the population, on how trials
are batched, or on the backend. Bits are the same everywhere; normals agree within 1e-6.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
The known-answer vectors of that paper's library fix the bits in the tests.

Key: (run seed, 32-bit hash of the site's name). Counter: (block of elements, row, member, step).
A row is a trial's number (or 0), so a trial's noise follows the trial, not its place in a batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from lfads_torch.kernels.compiled.library import Library, find_library
from lfads_torch.kernels.compiled.random import Draw

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Step", "Streams", "philox", "site_key", "threshold"]

Step: TypeAlias = int | Tensor

_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
_BLOCKS_AT_ONCE = 1 << 15  # counters whose temporaries stay in a CPU's cache


def site_key(site: str) -> int:
    """32-bit hash of a site's name (BLAKE2s, little endian), stable over versions and machines."""
    return int.from_bytes(hashlib.blake2s(site.encode(), digest_size=4).digest(), "little")


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds of Philox 4x32 on int64 tensors that hold 32-bit words; shapes broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # A product of two 32-bit words may wrap the sign of int64; the shift is masked after it.
        product_0, product_1 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_1
        high_0, high_1 = (product_0 >> 32) & _MASK, (product_1 >> 32) & _MASK
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, product_1 & _MASK, high_0 ^ c3 ^ k1, product_0 & _MASK
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Streams:
    """The random numbers of one run. `members` are permanent ids, [P].

    A step is a number, or a tensor of one number: what is recorded once then draws anew each time.
    """

    seed: int
    members: Int[Tensor, " P"]

    def bits(
        self, site: str, step: Step, rows: Int[Tensor, "P R"] | None, n: int
    ) -> Int[Tensor, "P R n"]:
        """32-bit words as int64. Element e of a row is word e % 4 of block e // 4.

        `rows` are the row numbers of each member; None means the single row 0.
        """
        draw = self._drawn(site, step, rows)
        if draw is not None:
            bits: Tensor = draw.bits(n)
            return bits
        members = self.members
        rows = members.new_zeros(len(members), 1) if rows is None else rows
        n_blocks = (n + 3) // 4
        out = torch.empty(
            len(members), rows.shape[1], n_blocks, 4, dtype=torch.int64, device=members.device
        )
        block = torch.arange(n_blocks, device=members.device)
        key = (self.seed & _MASK, site_key(site))
        last = _as_tensor(step, members).view(1, 1) & _MASK
        if members.device.type != "cpu":
            every = (block[None, None], rows[:, :, None], members[:, None, None], last[None])
            for lane, word in enumerate(philox(every, key)):
                out[..., lane] = word
            return out.flatten(2)[:, :, :n]
        rows_at_once = max(1, _BLOCKS_AT_ONCE // max(n_blocks, 1))
        for p in range(len(members)):
            for start in range(0, rows.shape[1], rows_at_once):
                row = rows[p, start : start + rows_at_once, None]
                words = philox((block + 0 * row, row + 0 * block, members[p].view(1, 1), last), key)
                for lane, word in enumerate(words):
                    out[p, start : start + rows_at_once, :, lane] = word
        return out.view(len(members), rows.shape[1], 4 * n_blocks)[:, :, :n]

    def normal(
        self, site: str, step: Step, rows: Int[Tensor, "P R"] | None, n: int
    ) -> Float[Tensor, "P R n"]:
        """Standard normals, float32, by Box-Muller on 24-bit uniforms `(word >> 8 + 1/2) / 2^24`.

        Words 0, 1 of a block give its elements 0, 1 and words 2, 3 its elements 2, 3:
        `sqrt(-2 ln u_even) * (cos, sin)(2 pi u_odd)`.
        """
        draw = self._drawn(site, step, rows)
        if draw is not None and not isinstance(draw, Draw):
            numbers: Tensor = draw.normal(n)
            return numbers
        even_n = n + n % 2
        words = self.bits(site, step, rows, even_n)
        uniform = ((words >> 8).to(torch.float32) + 0.5) * 2.0**-24
        radius = torch.sqrt(-2.0 * torch.log(uniform[..., 0::2]))
        angle = uniform[..., 1::2] * (2.0 * torch.pi)
        pair = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)
        return pair.flatten(-2)[..., :n]

    def keep(
        self,
        site: str,
        step: Step,
        rows: Int[Tensor, "P R"] | None,
        n: int,
        rate: Float[Tensor, " P"],
    ) -> Tensor:
        """Boolean [P, R, n], False with probability `rate` of the member: 16-bit uniforms.

        Element e is half e % 2 (low half first) of word e // 2; it is kept where the half is below
        `ceil((1 - rate) * 2^16)`, so a rate of 0 keeps everything.
        """
        draw = self._drawn(site, step, rows)
        if draw is not None:
            kept: Tensor = draw.keep(n, threshold(rate))
            return kept
        words = self.bits(site, step, rows, (n + 1) // 2).contiguous()
        halves = torch.stack([words & 0xFFFF, words >> 16], -1).flatten(-2)[..., :n]
        return halves < threshold(rate)[:, None, None]

    def mask(
        self,
        site: str,
        step: Step,
        rows: Int[Tensor, "P R"] | None,
        n: int,
        rate: Float[Tensor, " P"],
    ) -> Float[Tensor, "P R n"]:
        """1 / (1 - rate) where `keep` is True, else 0; in the type of `rate`."""
        return self.mask_in_time(site, step, rows, (1, n), rate)[:, 0]

    def mask_in_time(
        self,
        site: str,
        step: Step,
        rows: Int[Tensor, "P R"] | None,
        shape: tuple[int, int],
        rate: Float[Tensor, " P"],
    ) -> Float[Tensor, "P T R n"]:
        """`mask` of T * n elements for each row, `shape` (T, n), in the order of time."""
        scale = 1.0 / (1.0 - rate)
        bins, n = shape
        draw = self._drawn(site, step, rows)
        if draw is not None and rate.dtype == torch.float32:
            drawn: Tensor = draw.mask(n, threshold(rate), scale, bins=bins)
            return drawn
        kept = self.keep(site, step, rows, bins * n, rate)
        in_time = kept.unflatten(-1, shape).transpose(1, 2)
        mask: Tensor = in_time * scale[:, None, None, None]
        return mask

    def order(self, site: str, step: int, n: int) -> Int[Tensor, "P n"]:
        """A random order of 0..n-1 for each member: the elements sorted by their words.

        Ties are broken by the element's number (a stable sort).
        """
        return self.bits(site, step, None, n)[:, 0].argsort(dim=-1, stable=True)

    def _drawn(self, site: str, step: Step, rows: Int[Tensor, "P R"] | None) -> Any:
        """The same numbers from the compiled library or from Triton, whichever there is.

        Any: `Draw`, `TritonDraw` (whose module cannot be read without Triton) or None.
        """
        key = (self.seed & _MASK, site_key(site))
        rows = self.members.new_zeros(len(self.members), 1) if rows is None else rows
        if self.members.device.type == "cuda" and find_spec("triton") is not None:
            from lfads_torch.kernels.triton.random import TritonDraw

            return TritonDraw(key, _as_tensor(step, self.members), self.members, rows)
        library = find_library()
        on_cpu = self.members.device.type == "cpu"
        if not isinstance(library, Library) or not on_cpu or isinstance(step, Tensor):
            return None
        return Draw(library, key, step & _MASK, self.members, rows)


def _as_tensor(step: Step, like: Tensor) -> Tensor:
    return step if isinstance(step, Tensor) else like.new_full((1,), step)


def threshold(rate: Float[Tensor, " P"]) -> Int[Tensor, " P"]:
    """What an element's 16 random bits must be below to be kept; it is dropped with `rate`."""
    return torch.ceil((1.0 - rate.double()) * 65536.0).to(torch.int64)
