from __future__ import annotations

import csv
import errno
import os

import numpy as np
import pytest

from lfads_torch.errors import FormatError, OutputError, SettingsError
from lfads_torch.outputs import export, text_columns
from lfads_torch.outputs.export import export_rates
from lfads_torch.outputs.rates_file import RatesChunk, RatesHeader, RatesWriter

N_TRIALS, N_BINS, N_UNITS, N_FACTORS = 5, 7, 3, 2
TRIAL_IDS = np.array(["a, b", 'quote "', "ü", "d", "e"])
CONDITION = np.array([4, 4, 2, 2, 1])


@pytest.fixture
def chunk() -> RatesChunk:
    random = np.random.default_rng(0)
    shape = (N_TRIALS, N_BINS)
    rates = random.random((*shape, N_UNITS), dtype=np.float32)
    rates[0, 0, 0] = np.nan
    return RatesChunk(
        rates=rates,
        rate_posterior_std=random.random((*shape, N_UNITS), dtype=np.float32),
        factors=random.random((*shape, N_FACTORS), dtype=np.float32),
        inferred_input_mean=random.random((*shape, 1), dtype=np.float32),
        inferred_input_std=random.random((*shape, 1), dtype=np.float32),
        initial_condition_mean=random.random((N_TRIALS, 4), dtype=np.float32),
        initial_condition_std=random.random((N_TRIALS, 4), dtype=np.float32),
        generator_initial_state=random.random((N_TRIALS, 6), dtype=np.float32),
    )


@pytest.fixture
def rates_path(tmp_path, chunk):
    header = RatesHeader(
        trial_ids=TRIAL_IDS,
        unit_ids=np.array([9, 4, 30]),
        time_s=(np.arange(N_BINS) + 0.5) * 0.1,
        trial_set=np.array(["train", "train", "valid", "test", "test"]),
        condition=CONDITION,
        is_encoded=np.ones(N_UNITS, dtype=bool),
        is_encoded_bin=np.ones(N_BINS, dtype=bool),
        n_factors=N_FACTORS,
        n_initial_condition=4,
        n_generator_units=6,
        n_inferred_inputs=1,
        attributes={"bin_width_s": 0.1, "session": "s", "member": 0},
    )
    with RatesWriter(tmp_path / "rates.nc", header) as writer:
        writer.write(0, chunk)
    return tmp_path / "rates.nc"


def test_matlab(tmp_path, rates_path, chunk):
    from scipy.io import loadmat

    target = tmp_path / "rates.mat"
    assert export_rates(rates_path, target, "mat") == [target]
    content = loadmat(target, simplify_cells=True)
    np.testing.assert_array_equal(content["rates"], chunk.rates)
    np.testing.assert_array_equal(content["initial_condition_std"], chunk.initial_condition_std)
    assert content["trial_id"].tolist() == TRIAL_IDS.tolist()
    assert content["unit_id"].tolist() == [9, 4, 30]
    assert content["attributes"]["bin_width_s"] == 0.1
    assert content["attributes"]["format"] == "lfads-torch rates"


def test_matlab_refuses_what_its_format_cannot_hold(tmp_path, rates_path, monkeypatch):
    monkeypatch.setattr(export, "MAT_LIMIT_BYTES", 200)
    with pytest.raises(OutputError, match=r"less than 2 GiB per variable.*ncread"):
        export_rates(rates_path, tmp_path / "rates.mat", "mat")
    assert os.listdir(tmp_path) == ["rates.nc"]


@pytest.mark.parametrize("block_bytes", [1, 100, 2**25])
def test_npz_holds_no_pickle(tmp_path, rates_path, chunk, monkeypatch, block_bytes):
    monkeypatch.setattr(text_columns, "BLOCK_BYTES", block_bytes)
    export_rates(rates_path, tmp_path / "r.npz", "npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as content:
        np.testing.assert_array_equal(content["rates"], chunk.rates)
        np.testing.assert_array_equal(content["factors"], chunk.factors)
        assert content["trial_id"].tolist() == TRIAL_IDS.tolist()
        assert content["condition"].tolist() == CONDITION.tolist()
        assert '"bin_width_s": 0.1' in str(content["attributes"])
        assert all(content[name].dtype.kind != "O" for name in content)


@pytest.mark.parametrize("block_bytes", [1, 500, 2**25])
def test_csv(tmp_path, rates_path, chunk, monkeypatch, block_bytes):
    monkeypatch.setattr(text_columns, "BLOCK_BYTES", block_bytes)
    rates, factors = export_rates(rates_path, tmp_path / "r.csv", "csv")
    assert (rates.name, factors.name) == ("r.csv", "r_factors.csv")

    with rates.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == N_TRIALS * N_BINS * N_UNITS
    assert lines[0]["rates"] == ""
    for trial, time, unit in [(0, 0, 1), (2, 6, 2), (4, 3, 0)]:
        line = lines[(trial * N_BINS + time) * N_UNITS + unit]
        assert line["trial_id"] == TRIAL_IDS[trial]
        assert int(line["condition"]) == CONDITION[trial]
        assert float(line["time"]) == pytest.approx((time + 0.5) * 0.1)
        assert int(line["unit_id"]) == [9, 4, 30][unit]
        assert np.float32(line["rates"]) == chunk.rates[trial, time, unit]
        assert np.float32(line["rate_posterior_std"]) == chunk.rate_posterior_std[trial, time, unit]

    with factors.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == N_TRIALS * N_BINS
    line = lines[3 * N_BINS + 5]
    assert (line["trial_id"], line["trial_set"]) == ("d", "test")
    assert np.float32(line["factor_1"]) == chunk.factors[3, 5, 1]
    assert np.float32(line["inferred_input_mean_0"]) == chunk.inferred_input_mean[3, 5, 0]


@pytest.mark.parametrize("kind", ["mat", "npz", "csv"])
def test_a_failure_leaves_the_old_file(tmp_path, rates_path, monkeypatch, kind):
    def refuse(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    target = tmp_path / f"r.{kind}"
    written = export_rates(rates_path, target, kind)
    old = [path.read_bytes() for path in written]
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="no space left"):
        export_rates(rates_path, target, kind)
    assert [path.read_bytes() for path in written] == old
    assert sorted(os.listdir(tmp_path)) == sorted(["rates.nc", *(each.name for each in written)])


@pytest.mark.parametrize("kind", ["mat", "npz", "csv"])
@pytest.mark.parametrize("room", [10, 1000])
def test_a_full_disk_leaves_the_old_file(tmp_path, rates_path, kind, room):
    resource = pytest.importorskip("resource", reason="file size limits are POSIX only")
    target = tmp_path / f"r.{kind}"
    written = export_rates(rates_path, target, kind)
    old = [path.read_bytes() for path in written]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OutputError, match="the file grew larger"):
            export_rates(rates_path, target, kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in written] == old
    assert sorted(os.listdir(tmp_path)) == sorted(["rates.nc", *(each.name for each in written)])


def test_the_rates_and_other_files_are_no_target(tmp_path, rates_path):
    before = rates_path.read_bytes()
    with pytest.raises(OutputError, match="is what this command reads"):
        export_rates(rates_path, rates_path, "npz")
    (tmp_path / "r_factors.csv").write_text("subject,age\n3,4\n")
    with pytest.raises(OutputError, match=r"r_factors\.csv: is there already and is a text file"):
        export_rates(rates_path, tmp_path / "r.csv", "csv")
    assert rates_path.read_bytes() == before
    assert not (tmp_path / "r.csv").exists()


def test_wrong_kinds_and_files(tmp_path, rates_path):
    with pytest.raises(SettingsError, match="'xls'; one of mat, npz, csv"):
        export_rates(rates_path, tmp_path / "r.xls", "xls")
    (tmp_path / "text.nc").write_text("not rates")
    with pytest.raises(FormatError, match="a text file; a rates file"):
        export_rates(tmp_path / "text.nc", tmp_path / "r.npz", "npz")
