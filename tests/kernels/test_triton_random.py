"""Philox in Triton against the streams: the same bits, the same masks, normals within 1e-6."""

from __future__ import annotations

import pytest
import torch
from triton_interpreter import require_interpreter

require_interpreter()

from lfads_torch.kernels.compiled.library import Absent  # noqa: E402
from lfads_torch.kernels.triton.random import TritonDraw  # noqa: E402
from lfads_torch.training import streams as streams_module  # noqa: E402
from lfads_torch.training.streams import Streams, site_key  # noqa: E402

MEMBERS = torch.tensor([0, 3, 4_000_000_001])
ROWS = torch.tensor([[0, 1, 9], [2, 2, 5], [7, 3_000_000_000, 1]])
SEED = (1 << 40) + 3_456_789_012
RATE = torch.tensor([0.0, 0.3, 0.95])


@pytest.fixture
def streams(monkeypatch) -> Streams:
    """The definition itself, not the compiled library."""
    monkeypatch.setattr(streams_module, "find_library", lambda: Absent("not wanted here"))
    return Streams(SEED, MEMBERS)


def draw(step: int = 5, site: str = "train.sample.inputs") -> TritonDraw:
    return TritonDraw((SEED & 0xFFFFFFFF, site_key(site)), torch.tensor([step]), MEMBERS, ROWS)


@pytest.mark.parametrize("n", [1, 7, 33])
def test_words_are_the_same_bits(streams, n):
    assert torch.equal(draw().bits(n), streams.bits("train.sample.inputs", 5, ROWS, n))


@pytest.mark.parametrize("n", [1, 7, 33])
def test_masks_are_the_same_bits(streams, n):
    threshold, scale = streams_module.threshold(RATE), 1.0 / (1.0 - RATE)
    expected = streams.keep("train.sample.inputs", 5, ROWS, n, RATE)
    assert torch.equal(draw().keep(n, threshold), expected)
    mask = draw().mask(n, threshold, scale)[:, 0]
    assert torch.equal(mask, streams.mask("train.sample.inputs", 5, ROWS, n, RATE))


@pytest.mark.parametrize("n", [1, 7, 33])
def test_normals_agree(streams, n):
    expected = streams.normal("train.sample.inputs", 5, ROWS, n)
    torch.testing.assert_close(draw().normal(n), expected, rtol=0, atol=1e-6)


def test_more_blocks_than_one_program_takes(streams):
    expected = Streams(SEED, MEMBERS[:1]).bits("x", 1, ROWS[:1, :1], 2053)
    first = TritonDraw(
        (SEED & 0xFFFFFFFF, site_key("x")), torch.tensor([1]), MEMBERS[:1], ROWS[:1, :1]
    )
    assert torch.equal(first.bits(2053), expected)


def test_another_step_and_another_site_are_other_numbers():
    assert not torch.equal(draw().bits(4), draw(step=6).bits(4))
    assert not torch.equal(draw().bits(4), draw(site="other").bits(4))


def test_nothing_to_draw_is_nothing():
    assert draw().normal(0).shape == (3, 3, 0)
