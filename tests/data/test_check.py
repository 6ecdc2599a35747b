"""Each finding of the data check comes where it should, and a clean recording has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.check.report import CheckReport, errors_of
from lfads_torch.data.check.table import check_table
from lfads_torch.data.chopping import Chops
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.synthetic.choose import synthesise

PLAN = FitPlan(epochs=10, batch_size=16, flops_per_s=1e10, available_bytes=2**34)
REQUIREMENTS = CheckRequirements(plan=PLAN)


def clean(n_trials: int = 60, n_bins: int = 33, n_units: int = 15) -> Recording:
    rng = np.random.Generator(np.random.Philox(1))
    slow = np.sin(np.linspace(0, 6, n_bins) + rng.uniform(0, 6, (n_trials, 1)))[:, :, None]
    rates = 0.15 * np.exp(0.7 * slow * rng.normal(size=n_units))
    return Recording(
        counts=rng.poisson(rates),
        bin_width_s=0.01,
        trial_ids=np.arange(n_trials) + 500,
        unit_ids=np.array([f"u{unit}" for unit in range(n_units)]),
        condition=np.arange(n_trials) % 3,
        split=Split(
            trial_set=np.where(np.arange(n_trials) % 4 == 3, "valid", "train"),
            is_encoded=np.arange(n_units) != 4,
            n_encoded_bins=n_bins,
        ),
    )


def changed(change: Callable[[np.ndarray], None], recording: Recording | None = None) -> Recording:
    """The clean recording with its counts (as float64) altered in place."""
    recording = recording or clean()
    counts = recording.counts.astype(np.float64)
    change(counts)
    return replace(recording, counts=counts)


def check(recording: Recording, requirements: CheckRequirements = REQUIREMENTS) -> CheckReport:
    return check_recording(recording, requirements)


def put(place: object, value: object) -> Callable[[np.ndarray], None]:
    def change(counts: np.ndarray) -> None:
        counts[place] = value

    return change


def copy(source: object, target: object) -> Callable[[np.ndarray], None]:
    def change(counts: np.ndarray) -> None:
        counts[target] = counts[source]

    return change


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


def drifting(counts: np.ndarray) -> None:
    rng = np.random.Generator(np.random.Philox(4))
    counts[...] = rng.poisson(np.linspace(0.05, 0.5, 60)[:, None, None], counts.shape)


def with_trial_set(names: object) -> Recording:
    recording = clean()
    assert recording.split is not None
    return recording.with_split(replace(recording.split, trial_set=np.asarray(names)))


def few_trials() -> Recording:
    return clean().take_trials(np.arange(12))


def in_milliseconds() -> Recording:
    """Windows of seconds cut at times that are a thousand times too large: hardly a spike."""
    counts = np.zeros((60, 330, 15))
    counts[3, 100, [1, 1, 5, 9]] = 1
    counts[[3, 7, 9], [101, 150, 180], 2] = 1
    return replace(clean(n_bins=330), counts=counts)


ALL_HELD_OUT = Split(
    trial_set=np.array(["train", "valid"] * 30), is_encoded=np.zeros(15, bool), n_encoded_bins=33
)
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
    "wide_bins": ("warning", replace(clean(), bin_width_s=5.0), "as if the width were in milli"),
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


def test_units_that_shun_each_other_or_their_own_next_bin_share_no_spikes() -> None:
    def regular_and_opposed(counts: np.ndarray) -> None:
        counts[:, ::2, 0], counts[:, 1::2, 0] = 1, 0
        half = counts.shape[1] // 2
        counts[:, :half, 3], counts[:, half:, 3] = 2, 0
        counts[:, :half, 4], counts[:, half:, 4] = 0, 2

    codes = {finding.code for finding in check(changed(regular_and_opposed)).findings}
    assert "correlated_units" not in codes


def test_the_table_says_how_many_trials_are_unused() -> None:
    def shown(names: list[str]) -> str:
        console = Console(file=StringIO(), width=200)
        console.print(check_table(check(with_trial_set(names))))
        return console.file.getvalue()

    assert "30 / 20 / 7, 3 unused" in shown(
        ["train"] * 30 + ["valid"] * 20 + ["test"] * 7 + ["unused"] * 3
    )
    assert "unused" not in shown(["train"] * 40 + ["valid"] * 20)


@pytest.mark.parametrize(
    "recording",
    [clean(), changed(lambda counts: None), clean(33, 13, 3), synthesise("demo", 3)],
    ids=["clean", "as float", "odd sizes", "demo"],
)
def test_a_clean_recording_has_no_finding(recording: Recording) -> None:
    plan = replace(PLAN, batch_size=3)
    wanted = {"few_training_trials", "few_validation_trials"} if recording.n_trials == 33 else set()
    found = check(recording, CheckRequirements(plan=plan)).findings
    assert {finding.code for finding in found} == wanted


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("lorenz", ["short_memory"]),  # bins of 2 ms
        ("lorenz-2016", ["short_memory"]),
        ("chaotic-pulses", []),
    ],
)
def test_synthetic_systems_are_clean(name: str, codes: list[str]) -> None:
    recording = synthesise(name, 0, n_conditions=8)
    assert [finding.code for finding in check(recording).findings] == codes


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


def test_continuous_data_are_no_error_under_a_gaussian_observation() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    smooth = replace(clean(), counts=rng.normal(size=(60, 33, 15)))
    assert {finding.code for finding in errors_of(check(smooth))} == {
        "negative_counts", "fractional_counts",
    }  # fmt: skip
    gaussian = replace(REQUIREMENTS, observation="gaussian")
    assert check(smooth, gaussian).findings == ()
    codes = [finding.code for finding in check(clean(), gaussian).findings]
    assert codes == ["counts_under_continuous_observation"]


def test_conditions_in_blocks_are_no_drift() -> None:
    rng = np.random.Generator(np.random.Philox(6))
    condition = np.repeat([0, 1, 2], 20)
    rates = np.array([0.1, 0.3, 0.5])[condition][:, None, None]
    blocks = replace(clean(), counts=rng.poisson(rates, (60, 33, 15)), condition=condition)
    assert "drift" not in [finding.code for finding in check(blocks).findings]
    unlabelled = replace(blocks, condition=None)
    assert "drift" in [finding.code for finding in check(unlabelled).findings]


def test_a_population_burst_is_no_artefact() -> None:
    def burst(counts: np.ndarray) -> None:
        rng = np.random.Generator(np.random.Philox(7))
        counts[:, 12:20] = rng.poisson(1.5, counts[:, 12:20].shape)

    assert "synchronous_bins" not in [f.code for f in check(changed(burst)).findings]


def test_two_silent_trials_are_no_copies_and_no_leak() -> None:
    found = {finding.code for finding in check(changed(put(slice(2, 5), 0))).findings}
    assert found == {"outlier_trials"}


def test_a_given_split_takes_the_place_of_the_recording_s() -> None:
    recording = replace(clean(), split=None)
    assert check(recording).summary.n_train is None
    assert check(recording).findings == ()
    found = check(recording, replace(REQUIREMENTS, split=ALL_HELD_OUT))
    assert [finding.code for finding in errors_of(found)] == ["no_encoded_units"]
    assert found.summary.n_held_out_units == 15


def test_errors_come_first() -> None:
    def worst(counts: np.ndarray) -> None:
        counts[9] = np.nan
        counts[0, 0, 0] = -1

    severities = [finding.severity for finding in check(changed(worst)).findings]
    assert severities == ["error", "warning", "note"]


def test_the_check_does_not_change_the_recording() -> None:
    recording = changed(put((9, 3), np.nan))
    recording.counts.setflags(write=False)
    before = recording.counts.copy()
    check(recording)
    np.testing.assert_array_equal(recording.counts, before)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (3, 3, 1), (1, 33, 3)])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf, -np.inf, 1e300])
def test_the_smallest_and_strangest_recordings_are_reported_not_raised(
    shape: tuple[int, int, int], value: float
) -> None:
    strange = Recording(
        counts=np.full(shape, value),
        bin_width_s=0.01,
        trial_ids=np.arange(shape[0]),
        unit_ids=np.arange(shape[2]),
    )
    report = check(strange)
    assert json.dumps(report.to_json(), allow_nan=False)
    if value != 1.0 and value != 1e300:
        assert errors_of(report)


def test_the_report_is_json_and_a_table() -> None:

    recording = replace(changed(put((2, 3, 4), -2)), session="[red]day 1")
    report = check(recording)
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["format"] == "lfads-torch check"
    assert document["findings"][0]["code"] == "negative_counts"
    assert document["summary"]["n_units"] == 15
    assert len(document["summary"]["unit_rates"]) == 15
    output = StringIO()
    Console(file=output, width=120).print(check_table(report))
    text = output.getvalue()
    for words in ("60 x 33 x 15", "negative_counts", "gaussian", "estimate", "[red]day 1"):
        assert words in text
    output = StringIO()
    Console(file=output, width=120).print(check_table(check(clean())))
    assert "No findings" in output.getvalue()


def test_rates_are_in_spikes_per_second() -> None:
    report = check(clean())
    np.testing.assert_allclose(report.summary.unit_rates, clean().counts.mean(axis=(0, 1)) / 0.01)


def test_the_maze_recording_raises_no_alarm() -> None:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "mc_maze_large_subset.h5"
    if not path.exists():
        pytest.skip(f"needs {path.name} in ../shared/data")
    import h5py

    with h5py.File(path) as file:
        maze = Recording(
            counts=file["spikes"][:],
            bin_width_s=0.005,
            trial_ids=np.arange(165),
            unit_ids=np.arange(162),
            condition=file["condition"][:],
        )
    assert check(maze).findings == ()


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
