"""Bins that are in trials of different sets are found wherever they lie, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.shared_stretches import shared_stretches
from lfads_torch.data.chopping import ChopLengths, place_chops
from lfads_torch.data.recording import Recording, Split

KINDS = ("uint8", "float32", "gaussian")


def chops(n_session_bins=3000, length=33, overlap=13, *, rate=0.3, n_units=20, kind="uint8"):
    rng = np.random.default_rng(0)
    session = rng.poisson(rate, (n_session_bins, n_units)).astype("uint8")
    if kind == "gaussian":
        session = rng.normal(size=session.shape)
    starts, _ = place_chops([(0, n_session_bins)], ChopLengths(length=length, overlap=overlap))
    counts = np.stack([session[start : start + length] for start in starts])
    return counts if kind in ("uint8", "gaussian") else counts.astype(kind)


def of_sets(counts, sets) -> Recording:
    n_trials, n_bins, n_units = counts.shape
    split = Split(trial_set=sets, is_encoded=np.ones(n_units, dtype=bool), n_encoded_bins=n_bins)
    return Recording(
        counts=counts, bin_width_s=0.01, trial_ids=np.arange(n_trials) + 100,
        unit_ids=np.arange(n_units), split=split,
    )  # fmt: skip


def codes(recording):
    needs = CheckRequirements(
        observation="poisson" if recording.counts.dtype.kind in "ui" else "gaussian"
    )
    return {each.code: each for each in check_recording(recording, needs).findings}


@pytest.mark.parametrize("kind", KINDS)
def test_every_leaking_trial_is_found_however_the_file_is_ordered(kind):
    counts = chops(kind=kind)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(counts))
    sets = np.full(len(counts), "train", dtype="<U6")
    sets[rng.choice(len(counts), 30, replace=False)] = "valid"
    found = shared_stretches(counts[order], sets)
    position = np.argsort(order)  # of each chop in the file
    neighbours = {
        int(position[chop])
        for chop in range(len(counts))
        for beside in (chop - 1, chop + 1)
        if 0 <= beside < len(counts)
        and (sets[position[chop]], sets[position[beside]]) == ("valid", "train")
    }
    assert {each.trials[1] for each in found} == neighbours
    for each in found:
        (one, other), (a, b) = each.trials, each.starts
        assert each.n_bins >= 13
        np.testing.assert_array_equal(
            counts[order][one, a : a + each.n_bins], counts[order][other, b : b + each.n_bins]
        )


def test_test_trials_that_validate_leak_too_and_gaps_do_not():
    counts = chops()
    sets = np.full(len(counts), "unused", dtype="<U6")
    sets[:20], sets[22:30], sets[30:40] = "train", "valid", "test"
    (leak,) = shared_stretches(counts, sets)
    assert leak.trials == (29, 30)
    sets[29] = "unused"
    assert shared_stretches(counts, sets) == []


def test_the_check_says_where_and_what_to_do():
    counts = chops()
    sets = np.full(len(counts), "train", dtype="<U6")
    sets[::5] = "valid"
    finding = codes(of_sets(counts, sets))["overlap_leak"]
    assert finding.severity == "warning"
    shared = "bins 0 to 12 of trial 101 (train) and bins 20 to 32 of trial 100 (valid)"
    assert shared in finding.message
    assert "--method blocks" in finding.remedy


@pytest.mark.parametrize("rate", [0.0, 0.005, 0.05, 2.0])
def test_separate_trials_are_no_leak(rate):
    rng = np.random.default_rng(2)
    counts = rng.poisson(rate, (200, 40, 15)).astype(np.uint8)
    counts[:, 10:20] = 0  # a silent stretch in every trial
    sets = np.where(np.arange(200) % 3 == 0, "valid", "train")
    assert shared_stretches(counts, sets) == []
    assert "overlap_leak" not in codes(of_sets(counts, sets))


def test_missing_entries_match_nothing():
    counts = chops(kind="float32")
    counts[:, :, 3] = np.nan
    sets = np.where(np.arange(len(counts)) % 4 == 0, "valid", "train")
    assert shared_stretches(counts, sets) == []


def test_a_split_of_our_own_in_blocks_is_no_leak():
    from lfads_torch.data.chopping import Chops
    from lfads_torch.data.settings import SplitSettings
    from lfads_torch.data.splitting import split_recording

    counts = chops()
    starts, _ = place_chops([(0, 3000)], ChopLengths(length=33, overlap=13))
    bare = replace(of_sets(counts, np.full(len(counts), "train")), split=None)
    recording = replace(bare, chops=Chops(start_bins=starts, n_session_bins=3000, overlap_bins=13))
    divided = recording.with_split(split_recording(recording, SplitSettings(test_fraction=0.2)))
    found = codes(divided)
    assert "overlap_leak" not in found
    assert "overlapping_trials" not in found
    at_random = split_recording(recording, SplitSettings(method="random"))
    assert "overlap_leak" in codes(recording.with_split(at_random))
