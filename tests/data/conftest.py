"""Files that several tests of data read."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

TIMES = ([0.05, 0.15, 1.06, 1.07, 3.5], [], [1.01, 2.22, 3.31])  # of three units, s


def table(group, kind, ids):
    group.attrs.update(neurodata_type=kind, namespace="core", object_id="0")
    group["id"] = np.array(ids)
    group["id"].attrs["neurodata_type"] = "ElementIdentifiers"


def series(group, name, values, kind="TimeSeries", unit="m", **data):
    made = group.create_group(name)
    made.attrs.update(neurodata_type=kind, namespace="core")
    made["data"] = values
    made["data"].attrs.update(unit=unit, conversion=0.01, resolution=-1.0, **data)
    return made


@pytest.fixture
def nwb_session(tmp_path):
    """NWB 2.x: /units, /intervals/trials, behaviour at its own times and at a fixed rate."""
    path = tmp_path / "sub-A_ses-1.nwb"
    with h5py.File(path, "w") as file:
        file.attrs.update(nwb_version="2.6.0", neurodata_type="NWBFile", namespace="core")
        file["identifier"], file["session_description"] = "one", "a session"
        file.create_group("general")
        units = file.create_group("units")
        table(units, "Units", [4, 7, 11])
        units["spike_times"] = np.concatenate([np.array(each) for each in TIMES])
        units["spike_times_index"] = np.cumsum([len(each) for each in TIMES]).astype(np.uint64)
        units["quality"] = np.array(["good", "mua", "good"], dtype=h5py.string_dtype())
        trials = file.create_group("intervals/trials")
        table(trials, "TimeIntervals", [10, 11, 12])
        trials["start_time"], trials["stop_time"] = [0.0, 1.0, 3.0], [0.5, 1.4, 3.6]
        trials["go_cue_time"] = [0.1, 1.1, np.nan]
        trials["target"] = np.array(["left", "right", "left"], dtype=h5py.string_dtype())
        trials["is_correct"] = np.array([True, False, True])
        trials["timeseries"] = np.arange(5)  # several values per trial
        trials["timeseries_index"] = np.array([1, 3, 5], dtype=np.uint8)
        hand = file.create_group("processing/behavior/Position")
        made = series(hand, "hand", np.stack([np.arange(400), np.ones(400)], 1), "SpatialSeries")
        made["timestamps"] = np.arange(400) * 0.01
        pupil = series(file.create_group("acquisition"), "pupil", np.arange(40), unit="mm")
        pupil["starting_time"] = 0.0
        pupil["starting_time"].attrs.update(rate=10.0, unit="seconds")
        raw = series(file["acquisition"], "raw", np.zeros((9, 3)), "ElectricalSeries", unit="V")
        raw["timestamps"] = np.arange(9.0)
    return path
