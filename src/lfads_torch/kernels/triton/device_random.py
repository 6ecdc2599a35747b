"""Philox 4x32-10 on the device: the same words as training/streams.py, element by element.

A draw is fixed by its site (a key of two 32-bit words), the step, the member and the row. Element e
of a row of normals is made from word e % 4 of block e // 4; of a row of masks from half e % 2 of
word (e // 2) % 4 of block e // 8.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["BITS", "KEEP", "MASK", "NORMAL", "fill", "kept_at", "normal_at"]

BITS = tl.constexpr(0)
KEEP = tl.constexpr(1)
MASK = tl.constexpr(2)
NORMAL = tl.constexpr(3)


@triton.jit
def philox(block, row, member, step, key_0, key_1):
    """The four words of every block; all arguments are taken modulo 2^32 and broadcast."""
    zero = (block + row) * 0
    c0, c1 = (block + zero).to(tl.uint32), (row + zero).to(tl.uint32)
    c2, c3 = (member + zero).to(tl.uint32), (step + zero).to(tl.uint32)
    k0, k1 = key_0.to(tl.uint32), key_1.to(tl.uint32)
    for _ in tl.static_range(10):
        high_0, low_0 = tl.umulhi(c0, 0xD2511F53), c0 * 0xD2511F53
        high_1, low_1 = tl.umulhi(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def uniform(word):
    """The upper 24 bits, at the middle of their interval of (0, 1)."""
    return ((word >> 8).to(tl.float32) + 0.5) * (1.0 / 16777216.0)


@triton.jit
def normal_pair(even_word, odd_word):
    """Box-Muller."""
    radius = tl.sqrt(-2.0 * tl.log(uniform(even_word)))
    angle = uniform(odd_word) * 6.283185307179586
    return radius * tl.cos(angle), radius * tl.sin(angle)


@triton.jit
def normal_at(element, row, member, step, key_0, key_1):
    """One normal for each (row, element). A block of four words is made for each of them."""
    w0, w1, w2, w3 = philox(element // 4, row, member, step, key_0, key_1)
    is_first_pair = element % 4 < 2
    cosine, sine = normal_pair(tl.where(is_first_pair, w0, w2), tl.where(is_first_pair, w1, w3))
    return tl.where(element % 2 == 0, cosine, sine)


@triton.jit
def kept_at(element, row, member, step, key_0, key_1, threshold):
    """Whether the 16 bits of each (row, element) are below the threshold."""
    w0, w1, w2, w3 = philox(element // 8, row, member, step, key_0, key_1)
    lane = (element // 2) % 4
    word = tl.where(lane < 2, tl.where(lane == 0, w0, w1), tl.where(lane == 2, w2, w3))
    half = tl.where(element % 2 == 0, word & 0xFFFF, word >> 16)
    return half.to(tl.int32) < threshold


@triton.jit(do_not_specialize=["key_0", "key_1"])
def fill(
    out, step, members, rows, threshold, scale, key_0, key_1, n_rows, n,
    KIND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write one row [n] of `out` [P, R, n]: words, booleans, masks or normals.

    `step` points to one number, `rows` to [P, R], `members`, `threshold` and `scale` to [P].
    """
    line = tl.program_id(0).to(tl.int64)
    member_at = line // n_rows
    member = tl.load(members + member_at)
    row = tl.load(rows + line)
    block = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    to = out + line * n
    w0, w1, w2, w3 = philox(block, row, member, tl.load(step), key_0, key_1)
    if KIND == NORMAL:
        n0, n1 = normal_pair(w0, w1)
        n2, n3 = normal_pair(w2, w3)
        store_lane(to, block, 0, n, n0, 4)
        store_lane(to, block, 1, n, n1, 4)
        store_lane(to, block, 2, n, n2, 4)
        store_lane(to, block, 3, n, n3, 4)
    elif KIND == BITS:
        store_lane(to, block, 0, n, w0.to(tl.int64), 4)
        store_lane(to, block, 1, n, w1.to(tl.int64), 4)
        store_lane(to, block, 2, n, w2.to(tl.int64), 4)
        store_lane(to, block, 3, n, w3.to(tl.int64), 4)
    else:
        limit = tl.load(threshold + member_at).to(tl.int32)
        kept = tl.load(scale + member_at)
        store_halves(to, block, 0, n, w0, limit, kept, KIND)
        store_halves(to, block, 1, n, w1, limit, kept, KIND)
        store_halves(to, block, 2, n, w2, limit, kept, KIND)
        store_halves(to, block, 3, n, w3, limit, kept, KIND)


@triton.jit
def store_lane(to, block, lane, n, value, per_block: tl.constexpr):
    element = block * per_block + lane
    tl.store(to + element, value, mask=element < n)


@triton.jit
def store_halves(to, block, lane, n, word, limit, kept, KIND: tl.constexpr):
    low = (word & 0xFFFF).to(tl.int32) < limit
    high = (word >> 16).to(tl.int32) < limit
    if KIND == MASK:
        store_lane(to, block, 2 * lane, n, tl.where(low, kept, 0.0), 8)
        store_lane(to, block, 2 * lane + 1, n, tl.where(high, kept, 0.0), 8)
    else:
        store_lane(to, block, 2 * lane, n, low, 8)
        store_lane(to, block, 2 * lane + 1, n, high, 8)
