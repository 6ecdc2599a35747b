"""Each finding of the data check comes where it should, with advice that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from checked_recordings import (
    ALL_HELD_OUT,
    PLAN,
    REQUIREMENTS,
    changed,
    check,
    clean,
    copy,
    drifting,
    few_trials,
    in_milliseconds,
    put,
    with_trial_set,
)

from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.report import errors_of
from lfads_torch.data.chopping import Chops
from lfads_torch.data.recording import Recording


def share_spikes(counts: np.ndarray) -> None:
    """Two units also get each other's spikes in common, in a third of all bins."""
    rng = np.random.Generator(np.random.Philox(2))
    common = rng.random(counts.shape[:2]) < 0.33
    counts[:, :, 3] += common
    counts[:, :, 8] += common


def volleys(counts: np.ndarray) -> None:
    counts[5:25, 17, :] += 1


def overlapping() -> Recording:
    rng = np.random.Generator(np.random.Philox(3))
    stream = rng.poisson(0.15, (60 * 23 + 10, 15))
    return replace(clean(), counts=np.stack([stream[23 * n : 23 * n + 33] for n in range(60)]))


INPUTS = np.zeros((60, 33, 2), dtype=np.float32)
INPUTS[7, 3, 1] = np.nan
INFINITE_INPUTS = np.where(np.isnan(INPUTS), -np.inf, INPUTS)
HAND = np.zeros((60, 33, 2))
HAND[7, 3, 1] = np.inf
NO_UNIT_4_IN_TRAINING = (clean().split.trial_set == "train").nonzero()[0][:, None], slice(None), 6
CASES = {
    "infinite_values": (
        "error", changed(put((2, 3, 4), np.inf)), "inf at trial 502, bin 3, unit u4",
    ),
    "negative_counts": (
        "error", changed(put((2, 3, 4), -2)), "the first is -2 at trial 502, bin 3",
    ),
    "fractional_counts": ("error", changed(put((2, 3, 4), 0.5)), 'observation = "gaussian"'),
    "lengths_in_milliseconds": (
        "warning", replace(clean(), bin_width_s=5.0), "165 s long and bins 5 s wide",
    ),
    "one_unit": ("warning", clean(60, 33, 1), "has one unit"),
    "no_spikes": ("error", changed(put(..., 0)), "Every value is 0"),
    "unit_all_missing": ("error", changed(put((slice(None), slice(None), 5), np.nan)), "(u5)"),
    "trial_all_missing": ("warning", changed(put(9, np.nan)), "(509)"),
    "missing_values": ("note", changed(put((9, 3), np.nan)), "values are missing"),
    "external_inputs_infinite": (
        "error", replace(clean(), external_inputs=INFINITE_INPUTS),
        "the first at trial 507, bin 3, input 1",
    ),
    "external_inputs_missing": (
        "warning", replace(clean(), external_inputs=INPUTS),
        "encoded bins: 1; the first at trial 507, bin 3, input 1",
    ),
    "behaviour_not_finite": ("note", replace(clean(), behaviour={"hand": HAND}), "'hand'"),
    "one_trial": ("error", clean().take_trials(np.array([0])), "one trial"),
    "few_training_trials": ("warning", few_trials(), "Training trials: 9"),
    "few_validation_trials": ("warning", few_trials(), "Validation trials: 3"),
    "batch_over_training_set": ("note", few_trials(), "all 9 training trials"),
    "empty_set": ("error", with_trial_set(["train"] * 60), "The valid set"),
    "no_encoded_units": ("error", clean().with_split(ALL_HELD_OUT), "All 15 units are held out"),
    "unseen_conditions": (
        "note", with_trial_set(np.where(np.arange(60) % 3 == 2, "valid", "train")), "1 (2)",
    ),
    "silent_units": ("warning", changed(put((..., 6), 0)), "1 of 15 (u6)"),
    "silent_in_training": ("warning", changed(put(NO_UNIT_4_IN_TRAINING, 0)), "1 (u6)"),
    "duplicate_units": ("warning", changed(copy((..., 2), (..., 9))), "1 (u2 and u9)"),
    "correlated_units": ("warning", changed(share_spikes), "2 (u3 and u8)"),
    "synchronous_bins": ("warning", changed(volleys), "of them in bin 17"),
    "implausible_rates": ("warning", replace(clean(), bin_width_s=10.0), "in seconds"),
    "few_bins": ("warning", clean(n_bins=9), "9 bins"),
    "many_bins": ("warning", clean(n_trials=60, n_bins=1001, n_units=2), "1001 bins"),
    "fine_bins": (
        "warning", replace(clean(), counts=(clean().counts > 2).astype(int)), "mostly zeros",
    ),
    "times_in_milliseconds": ("warning", in_milliseconds(), "11 of 15 units have no spike"),
    "short_memory": ("note", replace(clean(), bin_width_s=0.002), "update_gate_bias to 2.9"),
    "coarse_bins": ("warning", replace(clean(), bin_width_s=0.2), "bin of 200 ms"),
    "impossible_counts": ("warning", changed(put((2, 3, 4), 16)), "largest count is 16"),
    "outlier_trials": (
        "warning", changed(lambda counts: counts[11].__imul__(4)), "1 (511)",
    ),
    "split_leak": ("warning", changed(copy(2, 3)), "more than one set: 1 (502 = 503)"),
    "duplicate_trials": ("warning", changed(copy(1, 2)), "1 (501 = 502)"),
    "overlapping_trials": ("warning", overlapping(), "last 10 bins of trial 500 are the first of"),
    "drift": ("note", changed(drifting), "15 of 15"),
}  # fmt: skip


def test_few_negative_values_among_counts_may_mark_what_is_missing() -> None:
    def remedy(change: Callable[[np.ndarray], None]) -> str:
        found = {each.code: each.remedy for each in check(changed(change)).findings}
        return found["negative_counts"]

    assert "write NaN there" in remedy(put((2, 3, 4), -1))
    assert "gaussian" in remedy(put((slice(None), slice(None), slice(5)), -1))


@pytest.mark.parametrize("code", CASES)
def test_each_finding_comes_where_it_should(code: str) -> None:
    severity, recording, message = CASES[code]
    found = {finding.code: finding for finding in check(recording).findings}
    assert code in found
    assert found[code].severity == severity
    assert message in found[code].message + " " + found[code].remedy
    assert len(found[code].remedy) > 20
    is_refused = code in [finding.code for finding in errors_of(check(recording))]
    assert is_refused == (severity == "error")


def test_drift_of_chops_is_not_answered_with_a_random_split() -> None:
    chops = Chops(start_bins=30 * np.arange(60), n_session_bins=60 * 30 + 3)
    found = {one.code: one for one in check(replace(changed(drifting), chops=chops)).findings}
    assert "split.n_blocks" in found["drift"].remedy
    assert "random" not in found["drift"].remedy


def test_other_defects_only_bring_their_own_findings() -> None:
    """A defect must not set off unrelated alarms: what else may come with each is listed."""
    along = {
        "few_training_trials": {"few_validation_trials", "batch_over_training_set"},
        "trial_all_missing": {"missing_values"},
        "unit_all_missing": {"missing_values"},
        "duplicate_units": set(),
        "silent_in_training": set(),
        "split_leak": set(),
        "drift": {"outlier_trials", "unseen_conditions"},
    }
    for code, others in along.items():
        found = {finding.code for finding in check(CASES[code][1]).findings}
        assert found <= {code} | others, code


def test_external_inputs_may_be_missing_in_forward_bins() -> None:
    recording = clean()
    assert recording.split is not None
    inputs = np.zeros((60, 33, 1))
    inputs[:, 30:] = np.nan
    forward = replace(recording.split, n_encoded_bins=30)
    for split, codes in ((forward, set()), (recording.split, {"external_inputs_missing"})):
        report = check(replace(recording, external_inputs=inputs).with_split(split))
        assert {f.code for f in report.findings if f.code.startswith("external")} == codes


def test_times_in_milliseconds_bring_no_advice_that_hides_the_cause() -> None:
    codes = {each.code for each in check(in_milliseconds()).findings}
    assert "times_in_milliseconds" in codes
    assert not codes & {"silent_units", "fine_bins", "implausible_rates"}
    rng = np.random.Generator(np.random.Philox(7))
    many = replace(clean(n_trials=600), counts=rng.poisson(2e-4, (600, 33, 15)))
    found = {each.code: each.message for each in check(many).findings}
    assert "0 of 15 units" in found["times_in_milliseconds"]  # enough trials for a spike of each
    merely_silent = changed(put((..., slice(0, 12)), 0))  # the others fire as they should
    found = {each.code for each in check(merely_silent).findings}
    assert "silent_units" in found
    assert "times_in_milliseconds" not in found


@pytest.mark.parametrize(
    ("bias", "is_told"), [(1.0, False), (5.0, False), (6.0, True), (1e3, True)]
)
def test_gates_that_keep_their_state_for_many_trials_are_noted(bias: float, is_told: bool) -> None:
    slow = replace(REQUIREMENTS, plan=replace(PLAN, update_gate_bias=bias))
    found = [each for each in check(clean(), slow).findings if each.code == "long_memory"]
    assert len(found) == is_told
    if is_told:
        assert "of a trial" in found[0].message
        assert "Lower model.update_gate_bias: 3.5" in found[0].remedy


def test_a_model_that_is_small_already_is_not_advised() -> None:
    small = replace(PLAN, ic_encoder_size=64, controller_size=64)
    for plan, is_advised in ((PLAN, True), (small, False)):
        found = check(few_trials(), CheckRequirements(plan=plan)).findings
        (remedy,) = (each.remedy for each in found if each.code == "few_training_trials")
        assert ("preset small" in remedy) == is_advised


def test_narrow_bins_are_no_note_where_the_gates_start_slow_enough() -> None:
    narrow = replace(clean(), bin_width_s=0.002)
    slow = replace(REQUIREMENTS, plan=replace(REQUIREMENTS.plan, update_gate_bias=2.9))
    assert "short_memory" in {each.code for each in check(narrow).findings}
    assert "short_memory" not in {each.code for each in check(narrow, slow).findings}
