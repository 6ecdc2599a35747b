"""Sections of the benchmarks page from made-up results, and where they were measured."""

from __future__ import annotations

import time
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


def test_parts_of_a_step_are_written_between_the_marks(section, tmp_path):
    step_parts, readme = section("step_parts"), tmp_path / "README.md"
    steps = [
        {"gru_forward": 0.002, "lagged_forward": 0.001, "lagged_backward": 0.001, "rest": 0.004,
         "step": 0.008},
        {"gru_forward": 0.004, "lagged_forward": 0.001, "lagged_backward": 0.0, "rest": 0.004,
         "step": 0.009},
        {"gru_forward": 0.004, "rest": 0.003, "step": 0.007},
    ]  # fmt: skip
    parts = step_parts.medians(steps)
    assert parts == {"gru_forward": 4.0, "rest": 4.0, "lagged": 1.0}
    with pytest.raises(ValueError, match="has no line in PARTS"):
        step_parts.part_of("something_else")
    result = {
        "machine": {"processor": "AMD EPYC", "other_work_cores": 0.1}, "members": 1, "steps": 3,
        "sources": {"revision": "abc", "is_changed": True}, "shape": "maze", "step_ms": 8.0,
        "backend": "compiled-avx2", "parts_ms": parts,
    }  # fmt: skip
    readme.write_text(f"before\n{step_parts.BEGIN}old\n{step_parts.END}after\n")
    step_parts.write_table(result, readme)
    written = readme.read_text()
    assert written.startswith(f"before\n{step_parts.BEGIN}Shape `maze`, one member")
    assert "0.1 cores held by other work, revision abc (changed)" in written
    assert "| encoders, forward | 4.0 | 50 % |" in written
    assert written.endswith(f"{step_parts.END}after\n")
    assert "old" not in written
    readme.write_text("no marks\n")
    with pytest.raises(ValueError, match="the marks"):
        step_parts.write_table(result, readme)


def test_the_readme_of_the_kernels_has_the_marks(section):
    step_parts = section("step_parts")
    text = step_parts.README.read_text(encoding="utf-8")
    assert 0 < text.index(step_parts.BEGIN) < text.index(step_parts.END)


def test_nothing_is_timed_beside_other_work(section):
    other_work = section("other_work")
    other_work.require_quiet(allowed=True, cores=9.0)
    other_work.require_quiet(allowed=False, cores=other_work.MOST_CORES)
    with pytest.raises(SystemExit, match=r"other work holds 1\.5 cores .*--although-loaded"):
        other_work.require_quiet(allowed=False, cores=1.5)


def test_other_work_is_what_neither_we_nor_our_children_did(section, monkeypatch):
    other_work = section("other_work")
    if other_work.OtherWork.begin().busy_s is None:
        pytest.skip("this system does not tell")
    clock, busy, own = iter([10.0, 12.0]), iter([100.0, 103.0]), iter([1.0, 2.5])
    monkeypatch.setattr(other_work.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(other_work, "_busy_s", lambda: next(busy))
    monkeypatch.setattr(other_work, "_own_s", lambda: next(own))
    assert other_work.OtherWork.begin().cores() == 0.75


def test_own_work_is_seen(section):
    other_work = section("other_work")
    if other_work.OtherWork.begin().busy_s is None:
        pytest.skip("this system does not tell")
    before, own = time.process_time(), other_work._own_s()
    while time.process_time() - before < 0.1:
        pass
    assert other_work._own_s() - own >= 0.05


def test_the_summary_answers_what_has_results_and_its_links_are_headings(section):
    summary_page = section("summary_page")
    steps = {
        "machine": {"processor": "abacus"},
        "shapes": {"maze": {"threads": {
            "1": {"1": {"compiled, P = 1": {"times_faster_than_peer": 3.14}}},
            "2": {"16": {"compiled, P = 16": {"times_faster_than_peer": 4.96},
                         "compiled, P = 16, 2 at once": {"times_faster_than_peer": 9.0},
                         "portable, P = 16": {"times_faster_than_peer": 2.5}}},
        }}},
    }  # fmt: skip
    text = summary_page.summary({"kernel_steps": steps})
    assert "compiled kernels 3.1 to 5.0 times as fast; portable kernels 2.5 times as fast" in text
    assert "whole search" not in text
    page = (BENCHMARKS.parent / "docs/benchmarks.md").read_text(encoding="utf-8")
    for _, _, name, _ in summary_page.QUESTIONS:
        assert f"## {name}\n" in page
        assert f"]({summary_page.anchor(name)})" in page
