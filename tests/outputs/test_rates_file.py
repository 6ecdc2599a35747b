from __future__ import annotations

import os
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
import xarray

from lfads_torch.errors import FormatError, OutputError
from lfads_torch.outputs import guarded_file
from lfads_torch.outputs.guarded_file import GuardedFile
from lfads_torch.outputs.rates_file import RatesChunk, RatesHeader, RatesWriter, open_rates

INTEGERS = np.array([40, 7, 12, 3, 5])
TEXT = np.array(["t 1", "zweite Übung", "三", "4", ""])


def make_header(n_trials=5, n_bins=7, n_units=3, *, ids=INTEGERS, **changes) -> RatesHeader:
    header = RatesHeader(
        trial_ids=ids[:n_trials],
        unit_ids=np.arange(n_units)[::-1] + 100,
        time_s=(np.arange(n_bins) + 0.5) * 0.005,
        trial_set=np.array(["train", "test", "valid", "unused", "new"])[:n_trials],
        is_encoded=np.arange(n_units) > 0,
        is_encoded_bin=np.arange(n_bins) < 5,
        n_factors=2,
        n_initial_condition=4,
        n_generator_units=6,
        n_inferred_inputs=1,
        attributes={"bin_width_s": 0.005, "run": "r", "member": 0, "beta_inputs": None},
    )
    return replace(header, **changes)


def random_chunk(header: RatesHeader, *, seed: int = 0) -> RatesChunk:
    random = np.random.default_rng(seed)
    n, t, units = len(header.trial_ids), len(header.time_s), len(header.unit_ids)
    inputs, states = header.n_inferred_inputs, header.n_generator_units

    def numbers(*shape, wanted=True):
        return random.random((n, *shape), dtype=np.float32) if wanted else None

    return RatesChunk(
        rates=numbers(t, units),
        rate_posterior_std=numbers(t, units, wanted=header.has_rate_posterior_std),
        factors=numbers(t, header.n_factors),
        inferred_input_mean=numbers(t, inputs, wanted=inputs),
        inferred_input_std=numbers(t, inputs, wanted=inputs),
        initial_condition_mean=numbers(header.n_initial_condition),
        initial_condition_std=numbers(header.n_initial_condition),
        generator_initial_state=numbers(states),
        generator_states=numbers(t, states, wanted=header.has_generator_states),
    )


def part_of(chunk: RatesChunk, start: int, stop: int) -> RatesChunk:
    values = {f.name: getattr(chunk, f.name) for f in fields(chunk)}
    return RatesChunk(**{k: None if v is None else v[start:stop] for k, v in values.items()})


def write(path, header, chunk, *, step=2) -> None:
    with RatesWriter(path, header) as writer:
        for start in range(0, len(header.trial_ids), step):
            writer.write(start, part_of(chunk, start, start + step))


CASES = {
    "plain": {},
    "text ids": {"ids": TEXT, "unit_ids": np.array(["a", "ü", "c"], dtype=object)},
    "one of each": {"n_trials": 1, "n_bins": 1, "n_units": 1},
    "no controller": {"n_inferred_inputs": 0},
    "one sample": {"has_rate_posterior_std": False},
    "generator states": {"has_generator_states": True, "n_inferred_inputs": 3},
    "text conditions": {"condition": np.array(["left", "right", "left", "up", "left"])},
    "integer conditions": {"condition": np.array([1, 2, 1, 2, 1], dtype=np.uint8)},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_what_is_written_is_read(tmp_path, changes):
    header = make_header(**changes)
    chunk = random_chunk(header)
    write(tmp_path / "rates.nc", header, chunk)
    assert os.listdir(tmp_path) == ["rates.nc"]
    with open_rates(tmp_path / "rates.nc") as rates:
        for field in fields(chunk):
            values = getattr(chunk, field.name)
            assert (field.name in rates) == (values is not None)
            if values is not None:
                np.testing.assert_array_equal(rates[field.name], values)
                assert rates[field.name].dtype == np.float32
        assert rates["trial_id"].values.tolist() == header.trial_ids.tolist()
        assert rates["unit_id"].values.tolist() == header.unit_ids.tolist()
        assert rates["trial_set"].values.tolist() == header.trial_set.tolist()
        np.testing.assert_array_equal(rates["time"], header.time_s)
        np.testing.assert_array_equal(rates["is_encoded"], header.is_encoded)
        np.testing.assert_array_equal(rates["is_encoded_bin"], header.is_encoded_bin)
        assert ("condition" in rates.coords) == (header.condition is not None)
        if header.condition is not None:
            assert rates["condition"].values.tolist() == header.condition.tolist()


def test_the_order_and_size_of_chunks_do_not_matter(tmp_path):
    header = make_header()
    chunk = random_chunk(header)
    with RatesWriter(tmp_path / "a.nc", header) as writer:
        for start in (4, 1, 3, 0, 2):
            writer.write(start, part_of(chunk, start, start + 1))
    with open_rates(tmp_path / "a.nc") as rates:
        np.testing.assert_array_equal(rates["factors"], chunk.factors)


def test_units_comments_and_attributes(tmp_path):
    header = make_header()
    write(tmp_path / "rates.nc", header, random_chunk(header))
    with xarray.open_dataset(tmp_path / "rates.nc", engine="h5netcdf") as rates:
        assert rates.attrs["format"] == "lfads-torch rates"
        assert rates.attrs["format_version"] == 1
        assert rates.attrs["bin_width_s"] == 0.005
        assert "beta_inputs" not in rates.attrs
        assert rates["rates"].attrs["units"] == "spikes/s"
        assert rates["time"].attrs["units"] == "s"
        assert rates["time"].dtype == np.float64
        comment = rates["rate_posterior_std"].attrs["comment"]
        assert "Neither a confidence interval nor trial-to-trial variability" in comment
        assert all(variable.attrs["long_name"] for variable in rates.variables.values())
        assert set(rates["rates"].coords) == {
            "trial_id", "trial_set", "unit_id", "is_encoded", "is_encoded_bin", "time",
        }  # fmt: skip


def test_plain_h5py_finds_dimensions_and_text(tmp_path):
    header = make_header(ids=TEXT)
    write(tmp_path / "rates.nc", header, random_chunk(header))
    with h5py.File(tmp_path / "rates.nc") as file:
        rates = file["rates"]
        for axis, name in enumerate(("trial", "time", "unit")):
            assert file[name].is_scale
            assert rates.dims[axis][0] == file[name]
        assert (rates.compression, rates.compression_opts, rates.shuffle) == ("gzip", 1, True)
        assert file["trial_id"].asstr()[:].tolist() == TEXT.tolist()
        assert h5py.check_string_dtype(file["trial_set"].dtype).encoding == "utf-8"


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((500, 140, 33), (14, 140, 33)), ((3, 1000, 1000), (1, 65, 1000)), ((5, 7, 3), (5, 7, 3))],
)
def test_chunks_are_whole_trials_or_a_stretch_of_one(tmp_path, shape, chunks):
    header = make_header(5, 7, 3)
    n_trials, n_bins, n_units = shape
    header = replace(
        header,
        trial_ids=np.arange(n_trials),
        trial_set=np.full(n_trials, "new"),
        time_s=np.arange(n_bins) * 0.005,
        is_encoded_bin=np.ones(n_bins, bool),
        unit_ids=np.arange(n_units),
        is_encoded=np.ones(n_units, bool),
    )
    writer = RatesWriter(tmp_path / "rates.nc", header)
    with writer:
        assert writer._file.variables["rates"].chunks == chunks
        writer._is_written[:] = True


def test_missing_trials_leave_nothing(tmp_path):
    header = make_header()
    chunk = random_chunk(header)
    with (
        pytest.raises(OutputError, match="1 of 5 trials were not given, the first at position 4"),
        RatesWriter(tmp_path / "rates.nc", header) as writer,
    ):
        writer.write(0, part_of(chunk, 0, 4))
    assert os.listdir(tmp_path) == []


def test_an_interrupted_write_keeps_the_old_file(tmp_path):
    header = make_header()
    chunk = random_chunk(header)
    write(tmp_path / "rates.nc", header, chunk)
    before = (tmp_path / "rates.nc").read_bytes()

    def write_a_part():
        with RatesWriter(tmp_path / "rates.nc", header) as writer:
            writer.write(0, part_of(chunk, 0, 2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_a_part()
    assert (tmp_path / "rates.nc").read_bytes() == before
    assert os.listdir(tmp_path) == ["rates.nc"]


@pytest.mark.parametrize("room", [0, 100, 20_000, 60_000])
def test_a_full_disk_is_told_and_the_process_goes_on(tmp_path, monkeypatch, room):
    resource = pytest.importorskip("resource", reason="file size limits are POSIX only")
    header = make_header(5, 70, 30)
    chunk = random_chunk(header)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "rates.nc").write_text("old")
    # A real failure of the system call. A full disk, which a test cannot make, fails the same way.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match="the file grew larger"):
            write(tmp_path / "rates.nc", header, chunk, step=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "rates.nc").read_text() == "old"
    assert os.listdir(tmp_path) == ["rates.nc"]
    write(tmp_path / "rates.nc", header, chunk)


def test_no_space_left_is_told(tmp_path, monkeypatch):
    def fail(self, view):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(guarded_file.GuardedFile, "_write_through", fail)
    header = make_header()
    with pytest.raises(OutputError, match="no space left on the disk"):
        write(tmp_path / "rates.nc", header, random_chunk(header))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_told(tmp_path):
    header = make_header()
    with pytest.raises(OutputError, match="folder does not exist"):
        write(tmp_path / "none" / "rates.nc", header, random_chunk(header))


def test_a_guarded_file_reads_what_the_disk_did_not_take(tmp_path, monkeypatch):
    file = GuardedFile(tmp_path / "a")
    file.write(b"0123456789")
    monkeypatch.setattr(file, "_write_through", lambda view: (_ for _ in ()).throw(OSError(28, "")))
    file.seek(4)
    file.write(b"abcdefghij")
    file.seek(12)
    file.write(b"XY")
    file.seek(0)
    assert file.read() == b"0123abcdefghXY"
    file.seek(-3, os.SEEK_END)
    assert file.read(2) == b"hX"
    with pytest.raises(OSError, match="28"):
        file.raise_failure()
    file.close()


def test_wrong_shapes_and_labels_are_refused(tmp_path):
    header = make_header()
    chunk = random_chunk(header)
    cases = [
        (replace(chunk, rates=chunk.rates[:, :, :2]), r"rates has shape \(5, 7, 2\)"),
        (replace(chunk, inferred_input_mean=None), "inferred_input_mean is missing"),
        (replace(chunk, generator_states=chunk.factors), "generator_states was given"),
    ]
    for wrong, words in cases:
        with pytest.raises(ValueError, match=words), RatesWriter(tmp_path / "a", header) as writer:
            writer.write(0, wrong)
    with pytest.raises(ValueError, match="5 trials"), RatesWriter(tmp_path / "a", header) as writer:
        writer.write(3, chunk)
    with pytest.raises(OutputError, match="integers or text"):
        write(tmp_path / "a", make_header(ids=np.arange(5) * 1j), chunk)
    with pytest.raises(OutputError, match="at least one unit"):
        RatesWriter(tmp_path / "a", make_header(n_units=0))
    with pytest.raises(ValueError, match="trial_set has 1"):
        RatesWriter(tmp_path / "a", make_header(trial_set=np.array(["new"])))
    assert os.listdir(tmp_path) == []


def test_open_rates_refuses_what_is_not_a_rates_file(tmp_path):
    path = tmp_path / "rates.nc"
    with pytest.raises(FormatError, match="no such file"):
        open_rates(path)
    with pytest.raises(FormatError, match="is a folder"):
        open_rates(tmp_path)
    path.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(FormatError, match="a pickle, which is never loaded"):
        open_rates(path)
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="an empty file"):
        open_rates(path)
    with h5py.File(path, "w") as file:
        file["train_encod_data"] = np.zeros(3)
    with pytest.raises(FormatError, match="an HDF5 file with train_encod_data"):
        open_rates(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "lfads-torch recording"
    with pytest.raises(FormatError, match="with the format 'lfads-torch recording'"):
        open_rates(path)
    with h5py.File(path, "w") as file:
        file.attrs.update(format="lfads-torch rates", format_version=2)
    with pytest.raises(FormatError, match="Update lfads-torch"):
        open_rates(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_rates_file_is_told(tmp_path, share):
    header = make_header()
    path = tmp_path / "rates.nc"
    write(path, header, random_chunk(header))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FormatError, match="truncated or damaged"):
        open_rates(path)
