"""Sections of the benchmarks page from made-up results, and where they were measured."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FIXED = {"trials": 3, "encoder": 4, "controller_encoder": 5, "controller": 6, "factors": 7}
BASE = {"members": 1, "bins": 3, "units": 33, "generator": 9}


@pytest.fixture
def section(monkeypatch):
    """A module of the folder by its name."""
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are not here")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: pytest.importorskip(name)


def variant(ms: float, mb: float) -> dict[str, object]:
    return {"ms_per_member": ms, "step_mb_per_member": mb}


def point(threads: int, *, is_alone: bool = True, **sizes: int) -> dict[str, object]:
    variants = {"compiled": variant(2.0, 5.0), "portable": variant(4.0, 6.0)}
    eager = {"eager": variant(11.0, 7.0)} if is_alone else {}
    return {
        **BASE, **sizes, "threads": threads, "gflop": 1.5, "floor_products_ms": 1.25,
        "floor_copies_ms": 0.5, "load_before": 0.25, "variants": {**eager, **variants},
    }  # fmt: skip


def test_curves_have_a_row_for_every_point_and_a_figure_for_every_number_of_threads(
    section, tmp_path
):
    points = [point(1), point(1, is_alone=False, members=4), point(2), point(2, units=1000)]
    result = {
        "machine": {"processor": "abacus", "cores": 2, "product_gflop_per_s": 8.0,
                    "memory_gb_per_s": 9.0},
        "base": {**BASE, **FIXED},
        "points": {str(n): each for n, each in enumerate(points)},
    }  # fmt: skip
    text = section("curves_page").curves(result, tmp_path)
    assert "| 1, 3, 33, 9 | 1.5 | 1.2 (0.5) | 2.0 | 4.0 | 11.0 | 5.5 | 5, 6, 7 |" in text
    assert "| 4, 3, 33, 9 | 1.5 | 1.2 (0.5) | 2.0 | 4.0 |  |  | 5, 6, - |" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves_1.svg", "curves_2.svg"]
    for threads in (1, 2):
        assert f"(figures/curves_{threads}.svg)" in text


def test_a_whole_epoch_has_a_row_for_threads_and_precision(section):
    epoch = {"threads": 1, "precision": "float32", "backend": "compiled-avx2", "ours_s": 0.5,
             "ours_fastest_s": 0.4, "eager_s": 3.0, "eager_fastest_s": 2.0,
             "times_faster": 6.0}  # fmt: skip
    result = {"machine": {"processor": "abacus", "load_before": 0.1}, "rounds": 3,
              "epochs": [epoch, epoch | {"threads": 2, "precision": "float64"}]}  # fmt: skip
    text = section("whole_epoch_page").whole_epoch(result)
    assert "| 1 | compiled-avx2, float32 | 0.50 (0.40) | 3.00 (2.00) | 6.0 |" in text
    assert "| 2 | compiled-avx2, float64 |" in text


def test_revisions_are_told_once_each_and_older_results_have_none(section):
    tree = section("tree")
    clean, changed = ({"revision": "abc", "is_changed": is_changed} for is_changed in (False, True))
    result = {"sources": clean, "arms": [{"sources": clean}, {"deep": {"sources": changed}}]}
    assert "revisions abc, abc (changed)." in tree.told_sources(result)
    assert "revision abc." in tree.told_sources({"sources": clean})
    assert tree.told_sources({"arms": [{"machine": "abacus"}]}) == ""


def test_outside_of_git_nothing_is_said(section, monkeypatch, tmp_path):
    tree = section("tree")
    monkeypatch.setattr(tree, "_ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert tree.sources() == {}
