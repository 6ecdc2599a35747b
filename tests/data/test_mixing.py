"""Signals become units beside those that spike: the same from every container."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from lfads_torch.data.averaging import average_in_bins
from lfads_torch.data.binning import Window, rebin
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.prepare import PrepareOptions, chopped_recording, prepare_recording
from lfads_torch.data.prepare_notes import prepared_lines
from lfads_torch.errors import DataError, FormatError

WINDOW = PrepareOptions(bin_width_s=0.1, window_s=(-0.1, 0.2))
SIGNALS = ("emg=gamma", "ca=zero_inflated_gamma")
RATE_HZ = 33.0


def session():
    """Two units, EMG [S, 3] with times of its own, calcium [S] at a rate, over 5 s."""
    rng = np.random.default_rng(0)
    emg_times = np.arange(0.0, 5.0, 0.007)
    emg = rng.gamma(2.0, size=(len(emg_times), 3))
    emg[100:103, 1] = np.nan
    ca = rng.gamma(2.0, size=165) * (rng.random(165) < 0.4)
    return {
        "spike_times": np.sort(rng.uniform(0, 5, 60)), "spike_units": rng.integers(3, 5, 60),
        "event_times": np.array([0.5, 1.501, 2.5, 4.0]),
        "emg": emg, "emg_times": emg_times, "ca": ca, "ca_rate_hz": RATE_HZ, "ca_start_s": 0.01,
        "hand": np.arange(50.0), "hand_times": np.arange(50) * 0.1,
    }  # fmt: skip


def by_loop(values, times, events, window):
    """Means of the samples in each bin."""
    values = values[:, None] if values.ndim == 1 else values
    found = np.full((len(events), window.n_bins, values.shape[1]), np.nan)
    for b, event in enumerate(events):
        for k in range(window.n_bins):
            left = event + window.start_s + k * window.bin_width_s
            inside = (times >= left - 1e-9) & (times < left + window.bin_width_s - 1e-9)
            for d in range(values.shape[1]):
                present = values[inside, d][~np.isnan(values[inside, d])]
                if len(present):
                    found[b, k, d] = present.sum() / len(present)
    return found


def write_npz(path, material):
    with path.open("wb") as file:
        np.savez(file, **material)


def write_hdf5(path, material):
    with h5py.File(path, "w") as file:
        for name, values in material.items():
            file[f"signals/{name}" if name.startswith(("emg", "ca")) else name] = values


def write_hdf5_attributes(path, material):
    with h5py.File(path, "w") as file:
        for name, values in material.items():
            if not name.startswith("ca_"):
                file[name] = values
        file["ca"].attrs.update(rate_hz=RATE_HZ, start_s=0.01)


def write_matlab(path, material):
    with path.open("wb") as file:
        scipy.io.savemat(file, material)


def write_nwb(path, material):
    ids, order = np.unique(material["spike_units"]), np.argsort(material["spike_units"])
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        file["units/id"] = ids
        file["units/spike_times"] = material["spike_times"][order]
        file["units/spike_times_index"] = np.cumsum([(material["spike_units"] == unit).sum()
                                                     for unit in ids])  # fmt: skip
        file["intervals/trials/id"] = np.arange(4)
        file["intervals/trials/start_time"] = material["event_times"]
        for name, kind in (("emg", "ElectricalSeries"), ("ca", "RoiResponseSeries"),
                           ("hand", "TimeSeries")):  # fmt: skip
            made = file.create_group(f"acquisition/{name}")
            made.attrs["neurodata_type"] = kind
            made["data"] = material[name]
            if name != "ca":
                made["timestamps"] = material[f"{name}_times"]
        file["acquisition/emg/channel_conversion"] = [1.0, 2.0, 0.5]
        made = file["acquisition/ca"]
        made["starting_time"] = 0.01
        made["starting_time"].attrs["rate"] = RATE_HZ


WRITERS = {
    "npz": write_npz, "hdf5": write_hdf5, "attributes": write_hdf5_attributes,
    "matlab": write_matlab, "nwb": write_nwb,
}  # fmt: skip


@pytest.mark.parametrize("container", WRITERS)
def test_signals_are_averaged_in_bins_from_every_container(tmp_path, container):
    material, path = session(), tmp_path / "session.bin"
    WRITERS[container](path, session())
    event = "start_time" if container == "nwb" else None
    options = PrepareOptions(**{**vars(WINDOW), "event": event,
                                "read": ReadOptions(signals=SIGNALS)})  # fmt: skip
    found = prepare_recording(path, options)
    assert found.unit_ids.tolist() == ["3", "4", "emg_0", "emg_1", "emg_2", "ca"]
    assert found.observation.tolist() == ["", "", *["gamma"] * 3, "zero_inflated_gamma"]
    assert set(found.behaviour) == {"hand"}
    window = Window(start_s=-0.1, stop_s=0.2, bin_width_s=0.1)
    scale = np.array([1.0, 2.0, 0.5]) if container == "nwb" else 1.0
    emg = by_loop(material["emg"] * scale, material["emg_times"], material["event_times"], window)
    ca = by_loop(material["ca"], 0.01 + np.arange(165) / RATE_HZ, material["event_times"], window)
    np.testing.assert_allclose(found.counts[:, :, 2:], np.concatenate([emg, ca], 2), rtol=1e-6)
    alone = prepare_recording(path, PrepareOptions(**{**vars(WINDOW), "event": event}))
    np.testing.assert_array_equal(found.counts[:, :, :2], alone.counts)
    write_recording(found, tmp_path / "out.h5")
    assert read_recording(tmp_path / "out.h5").observation.tolist() == found.observation.tolist()
    assert "signals: emg, 3 units of gamma, averages in bins of samples 0.007 s apart" in (
        prepared_lines(found)
    )


def test_bins_without_a_sample_are_missing_and_zeros_stay_exact():
    window = Window(start_s=0.0, stop_s=0.5, bin_width_s=0.1)
    times = np.array([0.0, 0.05, 0.1, 0.31, 0.32, 1.0])
    values = np.array([1e9, 1e-9, 0.0, np.nan, np.nan, 5.0])
    found = average_in_bins(values, times, np.array([0.0, 0.7, 9.0]), window)[..., 0]
    np.testing.assert_array_equal(found[0], [(1e9 + 1e-9) / 2, 0.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found[1], [np.nan, np.nan, np.nan, 5.0, np.nan])
    assert np.isnan(found[2]).all()


def test_the_file_can_say_that_a_series_becomes_units(tmp_path):
    write_npz(tmp_path / "a.npz", {**session(), "emg_observation": np.array("gaussian")})
    found = prepare_recording(tmp_path / "a.npz", WINDOW)
    assert found.observation.tolist() == ["", "", *["gaussian"] * 3]
    asked = PrepareOptions(**{**vars(WINDOW), "read": ReadOptions(signals=("emg=gamma",))})
    assert prepare_recording(tmp_path / "a.npz", asked).observation[2] == "gamma"


def test_a_session_of_signals_alone_in_chops(tmp_path):
    material = {name: values for name, values in session().items() if not name.startswith("spike")}
    write_npz(tmp_path / "a.npz", material)
    read = ReadOptions(bin_width_s=0.1, chop_s=1.0, signals=SIGNALS[:1])
    found = chopped_recording(tmp_path / "a.npz", read)
    assert found.counts.shape == (5, 10, 3)
    assert "0 to 4.998 s (first sample, last sample)" in found.provenance["prepared"]["recorded"]


def test_counts_of_a_session_are_joined_and_its_signals_averaged(tmp_path):
    rng = np.random.default_rng(1)
    counts, lfp = rng.poisson(2.0, (60, 2)), rng.normal(size=(60, 1))
    np.savez(tmp_path / "a.npz", spikes=counts, lfp=lfp, bin_width_s=0.01)
    options = PrepareOptions(bin_width_s=0.03, chop_s=0.3,
                             read=ReadOptions(signals=("lfp=gaussian",)))  # fmt: skip
    found = prepare_recording(tmp_path / "a.npz", options)
    np.testing.assert_array_equal(found.counts[0, 0, :2], counts[:3].sum(axis=0))
    np.testing.assert_allclose(found.counts[1, 0, 2], lfp[30:33].mean(), rtol=1e-6)
    trials = PrepareOptions(bin_width_s=0.03, chop_s=0.36, read=options.read)
    prepared = prepare_recording(tmp_path / "a.npz", trials)
    prepared = type(prepared)(**{**vars(prepared), "chops": None})
    wide = rebin(prepared, 4)
    np.testing.assert_array_equal(wide.counts[0, 0, :2], counts[:12].sum(axis=0))
    np.testing.assert_allclose(wide.counts[0, 0, 2], lfp[:12].mean(), rtol=1e-5)


@pytest.mark.parametrize("own", ["times", "rate"])
def test_a_signal_of_as_many_samples_as_bins_keeps_its_own_times(tmp_path, own):
    material = {"counts": np.ones((1000, 1)), "bin_width_s": 0.01, "event_times": np.array([2.0]),
                "emg": np.arange(1000.0)[:, None]}  # fmt: skip
    material |= {"emg_times": np.arange(1000) * 0.005} if own == "times" else {"emg_rate_hz": 200.0}
    np.savez(tmp_path / "a.npz", **material)
    options = PrepareOptions(window_s=(0.0, 0.03), read=ReadOptions(signals=("emg=gaussian",)))
    found = prepare_recording(tmp_path / "a.npz", options)
    assert found.counts[0, :, 1].tolist() == [400.5, 402.5, 404.5]


def test_samples_further_apart_than_bins_are_said(tmp_path):
    write_npz(tmp_path / "a.npz", session())
    read = ReadOptions(signals=("ca=zero_inflated_gamma",))
    narrow = PrepareOptions(**{**vars(WINDOW), "bin_width_s": 0.01, "read": read})
    told = "\n".join(prepared_lines(prepare_recording(tmp_path / "a.npz", narrow)))
    assert "of bins have no sample and are missing (bins are narrower than samples are" in told


MISTAKES = {
    "no_family": (("emg",), {}, r"--signals emg does not say of which .*emg=gaussian: gamma suits"),
    "no_name": (("=gamma",), {}, r"--signals '=gamma' names no series"),
    "unknown": (("emgs=gamma",), {}, r"no array 'emgs' for the signals.*mean 'emg'"),
    "no_times": (("hand=gamma",), {"hand_times": None}, r"nothing says when the samples of 'hand'"),
    "rate": (("ca=gamma",), {"ca_rate_hz": 0.0}, r"ca_rate_hz is 0; samples per second, above 0"),
    "length": (("emg=gamma",), {"emg_times": np.arange(3.0)}, r"signals emg: .*one time per samp"),
    "elsewhere": (("ca=gamma",), {"ca_start_s": 99.0}, r"signals ca: no bin of any trial holds a"),
    "text": (("word=gamma",), {"word": np.array(["a"]), "word_times": np.zeros(1)},
             r"array 'word' for the signals has type <U1; real numbers"),
    "axes": (("emg=gamma",), {"emg": np.ones((715, 2, 2))}, r"two axes are needed: sample"),
    "same_id": (("emg=gamma",), {"spike_units": np.array(["emg_0"] * 60)}, r"share the ids"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_remedy(tmp_path, mistake):
    signals, changes, message = MISTAKES[mistake]
    material = {name: each for name, each in {**session(), **changes}.items() if each is not None}
    write_npz(tmp_path / "a.npz", material)
    options = PrepareOptions(**{**vars(WINDOW), "read": ReadOptions(signals=signals)})
    with pytest.raises((DataError, FormatError), match=message) as caught:
        prepare_recording(tmp_path / "a.npz", options)
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))


def test_signals_of_a_file_of_trials_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", counts=np.ones((3, 4, 2)), bin_width_s=0.1)
    with pytest.raises(FormatError, match=r"--signals emg=gamma makes units .* read as trials"):
        read_recording(tmp_path / "a.npz", options=ReadOptions(signals=("emg=gamma",)))
