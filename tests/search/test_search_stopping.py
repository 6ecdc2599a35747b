"""When a search has stopped improving, by cases worked out by hand."""

from __future__ import annotations

import pytest

from lfads_torch.search.stopping import has_converged, relative_improvement

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("best", "improvement"),
    [
        ([2.0, 1.0], 1.0 / 1.5),
        ([1.0, 2.0], 0.0),  # the first is the least: nothing gained
        ([4.0, 1.0, 3.0, 4.0], 3.0 / 3.0),  # the least in between counts
        ([-1.0, -3.0], 2.0 / 2.0),  # the mean is of the sizes
        ([1.0, -1.0], 2.0 / 1.0),
        ([0.0, 0.0], 0.0),
        ([5.0], 0.0),
    ],
    ids=str,
)
def test_the_improvement_is_relative_to_the_mean_size(best, improvement):
    assert relative_improvement(best) == pytest.approx(improvement, abs=0.0, rel=1e-15)


@pytest.mark.parametrize(
    ("best", "is_over"),
    [
        ([1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 1.0], False),  # three generations need four scores
        ([], False),
        ([9.0, 1.0, 1.0, 1.0, 1.0], True),  # what was gained before the window does not count
        ([9.0, 1.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 0.9996], True),  # .0004 of .9999
        ([1.0, 1.0, 1.0, 0.9994], False),
        ([1.0, 0.9994, 1.2, 1.3], False),  # gained in between, though lost again
        ([1.0, 2.0, 3.0, 4.0], True),
        ([1.0, NAN, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, INF], False),
        ([NAN, 1.0, 1.0, 1.0, 1.0], True),
    ],
    ids=str,
)
def test_three_generations_without_improvement_end_it(best, is_over):
    assert has_converged(best, generations=3, tolerance=5e-4) == is_over


def test_the_tolerance_itself_is_no_improvement():
    # (1 - .5) / .75
    assert has_converged([1.0, 0.5], generations=1, tolerance=0.5 / 0.75)
    assert not has_converged([1.0, 0.5], generations=1, tolerance=0.66)


def test_zero_generations_never_end_it():
    assert not has_converged([1.0] * 9, generations=0, tolerance=0.5)
