"""Splits: sizes, disjointness, strata, groups of units, and the messages for what can't be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.count_correlation import count_correlation
from lfads_torch.data.held_out_units import units_that_belong_together
from lfads_torch.data.recording import Recording
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.splitting import folds, split_by_ids, split_recording
from lfads_torch.errors import DataError, SettingsError


def recording(
    n_trials: int = 33, n_units: int = 12, *, condition: object = None, seed: int = 0
) -> Recording:
    rng = np.random.Generator(np.random.Philox(seed))
    rate = np.linspace(0.1, 2, n_units)
    return Recording(
        counts=rng.poisson(rate, (n_trials, 7, n_units)),
        bin_width_s=0.01,
        trial_ids=np.arange(n_trials) + 100,
        unit_ids=np.array([f"u{unit}" for unit in range(n_units)]),
        condition=None if condition is None else np.asarray(condition),
    )


def sizes(split) -> list[int]:
    return [len(split.trials(name)) for name in ("train", "valid", "test", "unused")]


@pytest.mark.parametrize("method", ["random", "stratified", "every_kth"])
@pytest.mark.parametrize(
    ("n_trials", "wanted"), [(33, [19, 7, 7]), (10, [6, 2, 2]), (3, [1, 1, 1])]
)
def test_sets_are_disjoint_and_of_the_size_asked_for(
    method: str, n_trials: int, wanted: list[int]
) -> None:
    settings = SplitSettings(method=method, valid_fraction=0.2, test_fraction=0.2)
    split = split_recording(recording(n_trials), settings)
    found = sizes(split)
    assert sum(found) == n_trials
    if method == "every_kth":
        np.testing.assert_allclose(found[1:3], wanted[1:], atol=1)
    else:
        assert found[:3] == wanted
    assert split.is_encoded.all()
    assert split.n_encoded_bins == 7


def test_the_seed_decides_and_is_recorded() -> None:
    data = recording(condition=np.arange(33) % 4)
    settings = SplitSettings(seed=5, test_fraction=0.1, held_out_fraction=0.25)
    first, again = split_recording(data, settings), split_recording(data, settings)
    other = split_recording(data, replace(settings, seed=6))
    np.testing.assert_array_equal(first.trial_set, again.trial_set)
    np.testing.assert_array_equal(first.is_encoded, again.is_encoded)
    assert (first.trial_set != other.trial_set).any()
    assert (first.is_encoded != other.is_encoded).any()
    assert first.provenance["seed"] == 5
    assert first.provenance["method"] == "stratified"


def test_holding_out_units_does_not_move_trials() -> None:
    data = recording()
    plain = split_recording(data, SplitSettings(seed=3))
    held_out = split_recording(data, SplitSettings(seed=3, held_out_fraction=0.5))
    np.testing.assert_array_equal(plain.trial_set, held_out.trial_set)


def test_stratified_keeps_the_fraction_in_every_condition() -> None:
    condition = np.repeat(["a", "b", "c"], [5, 10, 21])
    split = split_recording(
        recording(36, condition=condition), SplitSettings(valid_fraction=0.2, test_fraction=0.2)
    )
    for name, total in (("a", 5), ("b", 10), ("c", 21)):
        for trials in ("valid", "test"):
            found = (split.trial_set[condition == name] == trials).sum()
            assert abs(found - 0.2 * total) < 1
    assert sizes(split)[1:3] == [7, 7]


def test_with_many_small_conditions_the_total_is_right_and_each_trains() -> None:
    condition = np.repeat(np.arange(20), 2)
    split = split_recording(recording(40, condition=condition), SplitSettings(valid_fraction=0.2))
    assert sizes(split)[1] == 8
    assert set(condition[split.trial_set == "train"]) == set(range(20))


def test_a_condition_with_one_trial_trains_and_that_is_said() -> None:
    condition = np.array([0] * 10 + [7] + [1] * 10)
    for seed in range(5):
        split = split_recording(
            recording(21, condition=condition), SplitSettings(seed=seed, valid_fraction=0.4)
        )
        assert split.trial_set[10] == "train"
    assert "1 conditions have a single trial, which trains: 7" in " ".join(
        split.provenance["notes"]
    )


def test_conditions_that_each_keep_a_trial_can_leave_fewer_to_validate() -> None:
    condition = np.repeat(np.arange(5), [1, 1, 1, 1, 3])
    split = split_recording(recording(7, condition=condition), SplitSettings(valid_fraction=0.5))
    assert sizes(split) == [5, 2, 0, 0]
    assert "has 2 trials, not 4" in " ".join(split.provenance["notes"])
    with pytest.raises(DataError, match="the valid set is empty"):
        split_recording(recording(7, condition=np.arange(7)), SplitSettings())


def test_every_kth_is_every_kth() -> None:
    split = split_recording(recording(15), SplitSettings(method="every_kth", valid_fraction=0.2))
    np.testing.assert_array_equal(split.trials("valid"), [4, 9, 14])
    third = split_recording(recording(9), SplitSettings(method="every_kth", valid_fraction=1 / 3))
    np.testing.assert_array_equal(third.trials("valid"), [2, 5, 8])


def test_folds_test_every_trial_once() -> None:
    condition = np.arange(33) % 3
    data = recording(33, condition=condition)
    splits = folds(data, 4, 1, held_out_fraction=0.25, n_forward_bins=2)
    tested = np.sum([split.trial_set == "test" for split in splits], axis=0)
    np.testing.assert_array_equal(tested, 1)
    for split in splits:
        assert sizes(split)[2] in (8, 9)
        assert sizes(split)[1] == 5
        assert split.n_encoded_bins == 5
        np.testing.assert_array_equal(split.is_encoded, splits[0].is_encoded)
        for label in range(3):
            assert 2 <= ((split.trial_set == "test") & (condition == label)).sum() <= 3
    again = folds(data, 4, 1, held_out_fraction=0.25, n_forward_bins=2)
    np.testing.assert_array_equal(splits[3].trial_set, again[3].trial_set)


@pytest.mark.parametrize("n_folds", [1, 34])
def test_impossible_folds_are_refused(n_folds: int) -> None:
    with pytest.raises(SettingsError, match="2 to 33 folds are possible"):
        folds(recording(), n_folds, 0)


def test_given_ids() -> None:
    split = split_by_ids(
        recording(9),
        valid=[100, np.int64(103)],
        test=[108],
        held_out_units=["u2"],
        n_forward_bins=1,
    )
    np.testing.assert_array_equal(split.trials("valid"), [0, 3])
    np.testing.assert_array_equal(split.trials("test"), [8])
    assert sizes(split) == [6, 2, 1, 0]
    np.testing.assert_array_equal(np.flatnonzero(~split.is_encoded), [2])
    assert split.n_encoded_bins == 6
    named = split_by_ids(recording(9), valid=[100], train=[101, 102])
    assert sizes(named) == [2, 1, 0, 6]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"valid": [7]}, "1 ids are not in the recording, e.g. 7"),
        ({"valid": ["100"]}, "7 is not '7'"),
        ({"valid": [100, 100]}, "named more than once"),
        ({"valid": [100], "test": [100]}, "both in the valid and the test set"),
        ({"valid": []}, "the valid set is empty"),
        ({"valid": range(100, 109)}, "the train set is empty"),
        (
            {"valid": [100], "held_out_units": [f"u{n}" for n in range(12)]},
            "all 12 units are held out",
        ),
    ],
)
def test_wrong_ids_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_by_ids(recording(9), **given)


def test_held_out_units_cover_the_range_of_rates() -> None:
    data = recording(n_units=33)
    by_rate = np.argsort(data.counts.mean(axis=(0, 1)), kind="stable")
    rank = np.argsort(by_rate)
    for seed in range(10):
        split = split_recording(data, SplitSettings(held_out_fraction=1 / 3, seed=seed))
        held_out = np.sort(rank[~split.is_encoded])
        np.testing.assert_array_equal(held_out // 3, np.arange(11))  # one of each three


def test_units_of_one_electrode_stay_together() -> None:
    data = recording(n_units=33)
    groups = np.array([f"e{unit % 11}" for unit in range(33)])
    for seed in range(10):
        split = split_recording(
            replace(data, unit_groups=groups), SplitSettings(held_out_fraction=1 / 3, seed=seed)
        )
        assert (~split.is_encoded).sum() == 9
        for group in np.unique(groups):
            assert len(set(split.is_encoded[groups == group])) == 1
    assert "11 groups of units" in " ".join(split.provenance["notes"])
    assert "9 units are held out, not 11" in " ".join(split.provenance["notes"])


def test_near_duplicates_stay_together() -> None:
    data = recording(50, n_units=12)
    counts = data.counts.copy()
    counts[:, :, 9] = counts[:, :, 4]
    counts[::25, 0, 9] += 1  # near, not identical
    twins = replace(data, counts=counts)
    group = units_that_belong_together(twins)
    assert group[9] == group[4]
    assert len(np.unique(group)) == 11
    for seed in range(20):
        split = split_recording(twins, SplitSettings(held_out_fraction=0.25, seed=seed))
        assert split.is_encoded[9] == split.is_encoded[4]
        assert (~split.is_encoded).sum() == 3


def test_units_linked_through_others_are_one_group() -> None:
    data = recording(n_units=5)
    linked = replace(data, unit_groups=np.array([1, 2, 1, 2, 3]))
    np.testing.assert_array_equal(units_that_belong_together(linked), [0, 1, 0, 1, 2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out_fraction": 0.01}, "less than one unit"),
        ({"held_out_fraction": 0.99}, "holds out all 12 units"),
        ({"n_forward_bins": 7}, "0 to 6 is possible"),
    ],
)
def test_impossible_units_and_bins_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        split_recording(recording(), SplitSettings(**settings))


def test_groups_larger_than_the_fraction_are_refused_with_the_fraction_needed() -> None:
    data = replace(recording(), unit_groups=np.repeat([0, 1], 6))
    with pytest.raises(SettingsError, match=r"Set it to at least 0\.5"):
        split_recording(data, SplitSettings(held_out_fraction=0.25))


@pytest.mark.parametrize(
    ("n_trials", "settings"),
    [(1, {}), (2, {"test_fraction": 0.2}), (10, {"valid_fraction": 0.6, "test_fraction": 0.4})],
)
def test_fractions_that_leave_no_training_trial_are_refused(
    n_trials: int, settings: dict[str, float]
) -> None:
    with pytest.raises(DataError, match="leave none to train on"):
        split_recording(recording(n_trials), SplitSettings(**settings))


def test_correlation_is_pearson_s_within_trials() -> None:
    counts = recording(70, 5).counts
    flat = counts.reshape(-1, 5)
    np.testing.assert_allclose(count_correlation(counts), np.corrcoef(flat.T), atol=1e-12)
    lagged = count_correlation(counts.astype(float), 2)
    centred = counts - flat.mean(axis=0)
    early, late = centred[:, :-2, 1].ravel(), centred[:, 2:, 3].ravel()
    expected = early @ late / np.sqrt((early @ early) * (late @ late))
    assert lagged[1, 3] == pytest.approx(expected)
    assert not count_correlation(counts, 7).any()


def test_correlation_takes_missing_entries_and_constant_units() -> None:
    counts = recording(9, 3).counts.astype(float)
    counts[:, :, 2] = 4
    counts[3] = np.nan
    found = count_correlation(counts)
    present = np.delete(counts, 3, axis=0).reshape(-1, 3)
    assert found[0, 1] == pytest.approx(np.corrcoef(present[:, 0], present[:, 1])[0, 1])
    np.testing.assert_array_equal(found[2], 0)
