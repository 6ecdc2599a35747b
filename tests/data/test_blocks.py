"""Blocks of time: trials of different sets never share a bin, and keep their gap."""

from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.data.blocks import trial_spans
from lfads_torch.data.chopping import ChopLengths, Chops, place_chops
from lfads_torch.data.recording import Recording
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.splitting import folds, split_recording
from lfads_torch.errors import DataError, SettingsError


def chopped(n_session_bins=1003, length=11, overlap=4, n_units=3, seed=0) -> Recording:
    session = np.random.default_rng(seed).poisson(1.0, (n_session_bins, n_units))
    starts, sizes = place_chops([(0, n_session_bins)], ChopLengths(length=length, overlap=overlap))
    assert (sizes == length).all()
    return Recording(
        counts=np.stack([session[start : start + length] for start in starts]).astype(np.uint8),
        bin_width_s=0.01,
        trial_ids=np.arange(len(starts)),
        unit_ids=np.arange(n_units),
        chops=Chops(start_bins=starts, n_session_bins=n_session_bins, overlap_bins=overlap),
    )


def smallest_gap(recording, split, first, second):
    starts, stops = trial_spans(recording)
    a, b = split.trials(first), split.trials(second)
    return np.maximum(starts[b][None] - stops[a][:, None], starts[a][:, None] - stops[b]).min()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("test_fraction", "gap"), [(0.0, 0), (0.2, 0), (0.1, 33)])
def test_sets_keep_a_gap_of_at_least_a_chop(seed, test_fraction, gap):
    recording = chopped()
    settings = SplitSettings(test_fraction=test_fraction, gap_bins=gap, seed=seed)
    split = split_recording(recording, settings)
    assert split.provenance["method"] == "blocks"
    names = ("train", "valid", "test") if test_fraction else ("train", "valid")
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            assert smallest_gap(recording, split, first, second) >= (gap or 11)
    shares = {name: (split.trial_set == name).mean() for name in (*names, "unused")}
    assert 0.1 < shares["valid"] < 0.25
    assert shares["train"] > 0.4
    again = split_recording(recording, settings)
    np.testing.assert_array_equal(again.trial_set, split.trial_set)


def test_the_seed_moves_the_blocks():
    recording = chopped()
    sets = {
        split_recording(recording, SplitSettings(seed=seed)).trial_set.tobytes()
        for seed in range(5)
    }
    assert len(sets) > 1


def test_random_splits_of_chops_leak_and_blocks_do_not():
    recording = chopped()
    split = split_recording(recording, SplitSettings(method="random"))
    assert smallest_gap(recording, split, "train", "valid") < 0


def test_separate_trials_can_be_divided_in_blocks_too():
    recording = chopped(overlap=0)
    apart = Recording(
        counts=recording.counts, bin_width_s=0.01,
        trial_ids=recording.trial_ids, unit_ids=recording.unit_ids,
    )  # fmt: skip
    split = split_recording(apart, SplitSettings(method="blocks", n_blocks=4))
    valid = split.trials("valid")
    assert (np.diff(valid) == 1).all()
    unused = set(split.trials("unused").tolist())
    assert {int(valid[0]) - 1, int(valid[-1]) + 1} & set(range(apart.n_trials)) <= unused


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(DataError, match=r"the (valid|train) set is empty: no trial lies wholly"):
        split_recording(chopped(), SplitSettings(n_blocks=300))
    with pytest.raises(DataError, match="leave none to train on"):
        split_recording(chopped(), SplitSettings(n_blocks=1))
    with pytest.raises(SettingsError, match="share bins"):
        folds(chopped(), 5, 0)
