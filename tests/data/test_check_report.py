"""The report: errors first, as JSON and as a table, for the strangest recordings too."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from checked_recordings import (
    ALL_HELD_OUT,
    REQUIREMENTS,
    changed,
    check,
    clean,
    put,
    with_trial_set,
)
from rich.console import Console

from lfads_torch.data.check.report import errors_of
from lfads_torch.data.check.table import check_table
from lfads_torch.data.recording import Recording


def test_the_table_says_how_many_trials_are_unused() -> None:
    def shown(names: list[str]) -> str:
        console = Console(file=StringIO(), width=200)
        console.print(check_table(check(with_trial_set(names))))
        return console.file.getvalue()

    assert "30 / 20 / 7, 3 unused" in shown(
        ["train"] * 30 + ["valid"] * 20 + ["test"] * 7 + ["unused"] * 3
    )
    assert "unused" not in shown(["train"] * 40 + ["valid"] * 20)


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
    for words in ("60 x 33 x 15", "negative_counts", "NaN", "estimate", "[red]day 1"):
        assert words in text
    output = StringIO()
    Console(file=output, width=120).print(check_table(check(clean())))
    assert "No findings" in output.getvalue()


def test_rates_are_in_spikes_per_second() -> None:
    report = check(clean())
    np.testing.assert_allclose(report.summary.unit_rates, clean().counts.mean(axis=(0, 1)) / 0.01)
