"""Signals of a session in MATLAB 7.3, in the layout that MATLAB writes: units as those of npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, FormatError

N_SAMPLES, RATE_HZ = 601, 100.0


def session() -> dict[str, Any]:  # arrays, numbers and texts
    random = np.random.default_rng(0)
    times = np.arange(N_SAMPLES) / RATE_HZ
    emg = random.gamma(2.0, 1.0, (N_SAMPLES, 3))
    emg[77, 1] = np.nan
    return {
        "spike_times": np.sort(random.uniform(0, 6, 200)),
        "spike_units": random.integers(1, 4, 200),
        "event_times": np.array([1.0, 2.5, 4.0]),
        "emg": emg,
        "emg_times": times,
        "emg_observation": "gamma",
        "lfp": random.normal(size=(N_SAMPLES, 1)),
        "lfp_rate_hz": RATE_HZ,
        "lfp_start_s": 0.0,
        "recording_start_s": 0.0,
        "recording_stop_s": 6.0,
    }


def matlab(place: h5py.Group, name: str, value: Any) -> None:  # an array, number or text
    """One variable as `save -v7.3` writes it: two axes at least, in reversed order."""
    if isinstance(value, str):
        data, kind = np.array([[ord(letter)] for letter in value], dtype=np.uint16), "char"
    else:
        values = np.asarray(value, dtype=np.float64)
        data, kind = (values[:, None] if values.ndim == 1 else np.atleast_2d(values)).T, "double"
    place[name] = data
    place[name].attrs["MATLAB_class"] = np.bytes_(kind)
    if kind == "char":
        place[name].attrs["MATLAB_int_decode"] = np.int32(2)


def write_matlab(path: Path, material: dict[str, Any], *, in_struct: tuple[str, ...] = ()) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in material.items():
            matlab(file, f"signals/{name}" if name in in_struct else name, value)
        if in_struct:
            file["signals"].attrs["MATLAB_class"] = np.bytes_("struct")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))


def prepared(path: Path, *signals: str) -> Recording:
    read = ReadOptions(signals=signals)
    return prepare_recording(
        path, PrepareOptions(bin_width_s=0.05, window_s=(-0.2, 0.5), read=read)
    )


@pytest.mark.parametrize("in_struct", [(), ("emg", "emg_times", "emg_observation")], ids=["", "s"])
def test_signals_become_units_as_those_of_npz(tmp_path: Path, in_struct: tuple[str, ...]) -> None:
    material = session()
    np.savez(tmp_path / "session.npz", **material)
    write_matlab(tmp_path / "session.mat", material, in_struct=in_struct)
    wanted = prepared(tmp_path / "session.npz", "lfp=gaussian")
    found = prepared(tmp_path / "session.mat", "lfp=gaussian")
    assert found.unit_ids.tolist() == ["1", "2", "3", "lfp", "emg_0", "emg_1", "emg_2"]
    assert found.observation is not None
    assert found.observation.tolist() == ["", "", "", "gaussian", "gamma", "gamma", "gamma"]
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_array_equal(found.observation, wanted.observation)
    assert found.unit_ids.tolist() == wanted.unit_ids.tolist()
    # The first bin of the first trial: samples 80 to 84, which are 10 ms apart.
    emg = material["emg"][80:85].mean(0)
    np.testing.assert_allclose(found.counts[0, 0, 4:], emg, rtol=1e-6)
    assert not found.behaviour


def test_a_signal_left_alone_is_behaviour(tmp_path: Path) -> None:
    material = session()
    material.pop("emg_observation")
    write_matlab(tmp_path / "session.mat", material)
    found = prepared(tmp_path / "session.mat", "lfp=gaussian")
    assert found.unit_ids.tolist() == ["1", "2", "3", "lfp"]
    assert found.behaviour["emg"].shape == (3, 14, 3)


@pytest.mark.parametrize(
    ("signals", "error", "told"),
    [
        (("lfp",), FormatError, "lfp=gaussian"),
        (("emh=gamma",), FormatError, "emh"),
        (("event_times=gamma",), FormatError, "event_times"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, signals: tuple[str, ...], error: type[Exception], told: str
) -> None:
    write_matlab(tmp_path / "session.mat", session())
    with pytest.raises(error, match=told):
        prepared(tmp_path / "session.mat", *signals)


def test_a_signal_with_its_samples_along_the_second_axis_is_refused(tmp_path: Path) -> None:
    material = session()
    write_matlab(tmp_path / "session.mat", material | {"emg": material["emg"].T})
    with pytest.raises(DataError, match=r"emg.*\(3, 601\)|emg.*3 samples|emg.*601"):
        prepared(tmp_path / "session.mat")
