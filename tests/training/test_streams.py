"""The random numbers against published vectors and an implementation in whole numbers."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.training import streams as module
from lfads_torch.training.streams import Streams, philox, site_key

GOLDEN = Path(__file__).parents[1] / "golden" / "streams.json"
WORD = 0xFFFFFFFF

# Random123's kat_vectors for philox4x32-10: counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.fixture(autouse=True, params=["compiled", "portable"])
def maker(request, monkeypatch):
    """Every promise holds for both makers of the same bits."""
    if request.param == "portable":
        monkeypatch.setattr(module, "find_library", lambda: Absent("not wanted here"))
    elif isinstance(find_library(), Absent):
        pytest.skip(find_library().reason)


def philox_in_whole_numbers(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(second >> 32) ^ c[1] ^ k[0], second & WORD, (first >> 32) ^ c[3] ^ k[1], first & WORD]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return tuple(c)


def word(seed: int, site: str, step: int, member: int, row: int, element: int) -> int:
    key = int.from_bytes(hashlib.blake2s(site.encode(), digest_size=4).digest(), "little")
    return philox_in_whole_numbers((element // 4, row, member, step), (seed, key))[element % 4]


def streams(*members: int, seed: int = 5) -> Streams:
    return Streams(seed, torch.tensor(members))


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    found = philox(tuple(torch.tensor([c]) for c in counter), key)
    assert tuple(int(w) for w in found) == expected
    assert philox_in_whole_numbers(counter, key) == expected


def test_any_counter_and_key_as_in_whole_numbers():
    random = np.random.default_rng(0)
    counters = random.integers(0, 2**32, (300, 4))
    for k0, k1 in random.integers(0, 2**32, (3, 2)).tolist():
        found = torch.stack(philox(tuple(torch.as_tensor(counters).unbind(1)), (k0, k1)), 1)
        wanted = [philox_in_whole_numbers(tuple(c), (k0, k1)) for c in counters.tolist()]
        assert found.tolist() == [list(w) for w in wanted]


def test_words_are_keyed_by_seed_site_step_member_row_and_element():
    seed, step, members, rows = WORD, 2**32 - 1, (0, 7, 2**31 + 1), [[3, 0, 2**31], [1, 1, 5]] * 2
    found = streams(*members, seed=seed).bits("some site", step, torch.tensor(rows[:3]), 7)
    wanted = [
        [[word(seed, "some site", step, m, r, e) for e in range(7)] for r in rows[p]]
        for p, m in enumerate(members)
    ]
    assert found.tolist() == wanted


def test_no_rows_is_the_single_row_0():
    s = streams(1, 4)
    torch.testing.assert_close(s.bits("x", 2, None, 5), s.bits("x", 2, torch.zeros(2, 1).long(), 5))


@pytest.mark.parametrize("at_once", [1, 3, 4, 1 << 15])
def test_numbers_do_not_depend_on_how_much_is_computed_at_once(monkeypatch, at_once):
    rows = torch.arange(33).expand(2, -1)
    whole = streams(0, 3).bits("x", 1, rows, 9)
    monkeypatch.setattr(module, "_BLOCKS_AT_ONCE", at_once)
    assert torch.equal(streams(0, 3).bits("x", 1, rows, 9), whole)


def test_numbers_do_not_depend_on_company_or_order():
    rows = torch.tensor([[4, 1, 9], [9, 0, 4], [2, 4, 1]])
    rate = torch.tensor([0.3, 0.5, 0.0])
    s = streams(5, 2, 8)
    turned = streams(8, 5, 2)
    turn = [2, 0, 1]
    for draw in (
        lambda s, rows, rate: s.bits("x", 1, rows, 5),
        lambda s, rows, rate: s.normal("x", 1, rows, 5),
        lambda s, rows, rate: s.keep("x", 1, rows, 5, rate),
    ):
        together = draw(s, rows, rate)
        assert torch.equal(draw(turned, rows[turn], rate[turn]), together[turn])
        assert torch.equal(draw(s, rows[:, [1, 2, 0]], rate), together[:, [1, 2, 0]])
        for p, member in enumerate((5, 2, 8)):
            alone = draw(streams(member), rows[p : p + 1, 1:2], rate[p : p + 1])
            assert torch.equal(alone[0, 0], together[p, 1])
    assert torch.equal(turned.order("x", 1, 9), s.order("x", 1, 9)[turn])


def test_more_elements_begin_with_the_same_ones():
    s, rows = streams(3), torch.tensor([[0, 6]])
    rate = torch.tensor([0.4])
    for n in (1, 2, 3, 5, 33):
        assert torch.equal(s.bits("x", 0, rows, n), s.bits("x", 0, rows, 40)[..., :n])
        assert torch.equal(s.keep("x", 0, rows, n, rate), s.keep("x", 0, rows, 40, rate)[..., :n])
        assert torch.equal(s.normal("x", 0, rows, n), s.normal("x", 0, rows, 40)[..., :n])


def test_normals_are_box_muller_of_24_bit_uniforms():
    found = streams(3, seed=9).normal("x", 4, torch.tensor([[6]]), 8)[0, 0].tolist()
    uniform = [((word(9, "x", 4, 3, 6, e) >> 8) + 0.5) / 2**24 for e in range(8)]
    wanted = []
    for even in range(0, 8, 2):
        radius = math.sqrt(-2 * math.log(uniform[even]))
        angle = 2 * math.pi * uniform[even + 1]
        wanted += [radius * math.cos(angle), radius * math.sin(angle)]
    assert found == pytest.approx(wanted, abs=2e-6)


def test_normals_follow_the_normal_distribution():
    n = 60_000
    x = streams(0, 1).normal("x", 0, None, n)[:, 0].double().numpy()
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    assert abs(x.mean()) < 4 / math.sqrt(2 * n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / (2 * n))
    assert abs(stats.kurtosis(x.ravel())) < 4 * math.sqrt(24 / (2 * n))
    # Neighbours share a block: neither they nor their squares may be correlated.
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(x[0, :-lag], x[0, lag:])[0, 1]) < 4 / math.sqrt(n)
        assert abs(np.corrcoef(x[0, :-lag] ** 2, x[0, lag:] ** 2)[0, 1]) < 4 / math.sqrt(n)
    assert abs(np.corrcoef(x[0], x[1])[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("extreme", [0, WORD])
def test_normals_of_extreme_words_are_finite(monkeypatch, extreme):
    monkeypatch.setattr(Streams, "bits", lambda *given: torch.full((1, 1, given[4]), extreme))
    x = streams(0).normal("x", 0, None, 4)
    assert bool(x.isfinite().all())
    assert float(x.abs().max()) < 6.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 33, 127, 128, 129, 1001])
def test_a_mask_is_what_is_kept_divided_by_its_probability(dtype, n):
    rate = torch.tensor([0.1, 0.0, 0.73], dtype=dtype)
    rows = torch.arange(5).expand(3, -1)
    s = streams(0, 1, 9)
    kept = s.keep("x", 3, rows, n, rate)
    expected = kept * (1.0 / (1.0 - rate))[:, None, None]
    found = s.mask("x", 3, rows, n, rate)
    assert found.dtype == dtype
    assert torch.equal(found, expected)


def test_a_rate_of_zero_keeps_everything():
    assert bool(streams(0).keep("x", 0, None, 300_000, torch.tensor([0.0])).all())


def test_entries_are_kept_below_the_ceiling_of_the_threshold():
    # 0.7 * 65536 = 45875.2: rounding would put the threshold at 45875, one lower.
    rate = torch.tensor([0.3], dtype=torch.float64)
    n, threshold = 200_001, 45876
    kept = streams(2, seed=1).keep("x", 0, None, n, rate)[0, 0]
    words = streams(2, seed=1).bits("x", 0, None, (n + 1) // 2)[0, 0]
    halves = torch.stack([words % 65536, words // 65536], 1).flatten()[:n]
    assert torch.equal(kept, halves < threshold)
    assert bool((halves == threshold - 1).any())  # the case that tells ceil from round


def test_each_member_has_its_own_rate():
    rate = torch.tensor([0.1, 0.5, 0.9])
    kept = streams(0, 1, 2).keep("x", 0, torch.arange(20).expand(3, -1), 2001, rate)
    share = kept.double().mean((1, 2))
    spread = (rate * (1 - rate) / kept[0].numel()).sqrt()
    assert bool(((share - (1 - rate)).abs() < 4 * spread).all())


def test_sites_steps_members_rows_and_seeds_are_independent():
    """20,000 blocks of 4 words: the chance that even one repeats by accident is about 1e-30."""
    rows = torch.arange(10).expand(5, -1)
    drawn = [
        Streams(seed, torch.arange(5)).bits(site, step, rows, 40)
        for seed in (0, 1)
        for site in ("train.a", "train.b", "validation.a")
        for step in (0, 1, 2, 1000)
    ]
    blocks = torch.stack(drawn).view(-1, 4)
    assert len(blocks.unique(dim=0)) == len(blocks)
    bits = (blocks.flatten()[:, None] >> torch.arange(32)) & 1
    assert bool(((bits.double().mean(0) - 0.5).abs() < 4 * 0.5 / math.sqrt(len(bits))).all())


@pytest.mark.parametrize("n", [1, 2, 3, 33, 1001])
def test_an_order_is_a_permutation(n):
    order = streams(0, 1, 7).order("x", 3, n)
    assert torch.equal(order.sort(1).values, torch.arange(n).expand(3, -1))
    if n > 3:
        assert not torch.equal(order[0], order[1])
        assert not torch.equal(order, streams(0, 1, 7).order("x", 4, n))


def test_all_orders_are_equally_likely():
    order = Streams(0, torch.arange(900)).order("x", 0, 3)
    codes = (order * torch.tensor([9, 3, 1])).sum(1)
    _, counts = codes.unique(return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_site_keys_of_all_sites_differ():
    sites = [
        f"{phase}.{kind}.{part}"
        for phase in ("train", "validation", "posterior")
        for kind in ("dropout", "sample", "coordinated_dropout", "coordinated_dropout_pass")
        for part in (
            "data", "ic_encoder", "controller_encoder", "external", "generator", "factors",
            "generator_start", "initial_condition", "inputs", "session",
        )
    ]  # fmt: skip
    assert len({site_key(site) for site in sites}) == len(sites)


def test_golden_numbers():
    """Stored numbers (`tests/golden/make_golden.py`): a run of today must be resumable tomorrow."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    s, rows = streams(0, 3, seed=golden["seed"]), torch.tensor(golden["rows"])
    rate = torch.tensor(golden["rate"], dtype=torch.float64)
    assert s.bits("golden", 6, rows, 5).tolist() == golden["bits"]
    assert s.keep("golden", 6, rows, 9, rate).long().tolist() == golden["keep"]
    assert s.order("golden", 6, 9).tolist() == golden["order"]
    assert site_key("golden") == golden["site_key"]
    # Logarithm and cosine differ between machines in the last bits.
    np.testing.assert_allclose(s.normal("golden", 6, rows, 5).numpy(), golden["normal"], atol=1e-6)
