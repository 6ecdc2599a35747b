"""The fingerprint is that of the values, whatever their type and the file they came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.recording import Recording


@pytest.fixture
def recording() -> Recording:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (3, 7, 5)).astype(np.float32)
    counts[0, -1, 0] = np.nan
    recording = recording_from_arrays(
        counts,
        bin_width_s=0.005,
        trial_ids=["a", "b", "c"],
        unit_ids=np.arange(5, dtype=np.int16),
        condition=[0, 1, 0],
        behaviour={"gaze": rng.normal(size=(3, 7, 2))},
    )
    return replace(recording, true_inputs=rng.normal(size=(3, 7, 1)), start_s=-0.1)


def test_type_container_session_and_extras_do_not_count(tmp_path, recording):
    write_recording(recording, tmp_path / "a.h5")
    negative_zero = np.where(recording.counts == 0, np.float32(-0.0), recording.counts)
    same_values = (
        read_recording(tmp_path / "a.h5"),
        replace(recording, counts=recording.counts.astype(np.float64)),
        replace(recording, counts=np.asfortranarray(recording.counts)),
        replace(recording, counts=negative_zero),
        replace(recording, session="x", extra={"x": np.ones(1)}, provenance={"y": 1}),
        replace(recording, unit_ids=recording.unit_ids.astype(np.int64)),
    )
    assert {fingerprint(other) for other in same_values} == {fingerprint(recording)}


def test_every_value_counts(recording):
    counts = recording.counts.copy()
    counts[-1, -1, -1] += 1
    gaze = {"gaze": recording.behaviour["gaze"] + 1e-9}
    others = (
        replace(recording, counts=counts),
        replace(recording, counts=np.nan_to_num(recording.counts)),
        replace(recording, bin_width_s=0.004),
        replace(recording, start_s=0.0),
        replace(recording, trial_ids=recording.trial_ids[::-1]),
        replace(recording, unit_ids=np.array([str(unit) for unit in recording.unit_ids])),
        replace(recording, condition=None),
        replace(recording, behaviour=gaze),
        replace(recording, behaviour={"eye": recording.behaviour["gaze"]}),
        replace(recording, true_inputs=None),
        replace(recording, true_inputs=None, true_latents=recording.true_inputs),
        recording.take_trials(np.array([1, 0, 2])),
        recording.take_trials(np.array([0, 1])),
    )
    assert len({fingerprint(other) for other in (recording, *others)}) == len(others) + 1


def test_the_number_is_fixed():
    """A stored run compares with it: a change here orphans every run folder."""
    recording = recording_from_arrays(np.ones((1, 1, 1), dtype=np.uint8), bin_width_s=0.5)
    assert (
        fingerprint(recording) == "894bb2c2e30891b524f99b3fa44c8897b77d23321ca9f93c4213f03f8355fc42"
    )
