"""Arrays in memory, of whatever library, become recordings."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.data.formats.arrays import recording_from_arrays


def test_arrays_of_other_libraries():
    torch = pytest.importorskip("torch")
    xarray = pytest.importorskip("xarray")
    counts = np.random.default_rng(5).poisson(1, (2, 3, 4))
    named = xarray.DataArray(counts.transpose(2, 0, 1), dims=("unit", "trial", "time"))
    for given in (counts, counts.tolist(), torch.as_tensor(counts), named):
        recording = recording_from_arrays(
            given, bin_width_s=0.01, trial_ids=["a", "b"], condition=np.array([1.0, 2.0])
        )
        np.testing.assert_array_equal(recording.counts, counts)
        assert recording.condition.dtype == np.int64


def test_masked_entries_are_missing():
    masked = np.ma.MaskedArray(np.ones((1, 2, 1), dtype=int), mask=[[[False], [True]]])
    counts = recording_from_arrays(masked, bin_width_s=0.01).counts
    assert np.isnan(counts).tolist() == [[[False], [True]]]


def test_read_only_arrays_are_copied():
    counts = np.ones((1, 2, 3))
    counts.flags.writeable = False
    assert recording_from_arrays(counts, bin_width_s=0.01).counts.flags.writeable
