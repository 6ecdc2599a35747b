"""A continuous session from the file to rates of the whole of it."""

from __future__ import annotations

import csv
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray
from scipy.io import loadmat
from tiny_runs import tiny_settings

from lfads_torch.cli.app import run as lfads
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.errors import DataError, FormatError, OutputError
from lfads_torch.outputs.export import export_rates
from lfads_torch.outputs.merged_file import open_merged
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.check_file import check_file
from lfads_torch.workflows.fit import Quiet
from lfads_torch.workflows.fit_file import FitRequest, fit_file
from lfads_torch.workflows.infer_file import InferRequest, infer_file, need_same_place
from lfads_torch.workflows.merge import merge_source

N_BINS, N_UNITS = 611, 5


def write_session(path, *, n_bins=N_BINS, seed=0):
    """Counts whose rates swing, with a gap, and a hand that moves."""
    rng = np.random.default_rng(seed)
    time = np.arange(n_bins)
    rates = 0.6 + 0.5 * np.sin(0.2 * time[:, None] + np.arange(N_UNITS))
    counts = rng.poisson(rates).astype(np.float32)
    counts[300:308] = np.nan
    with h5py.File(path, "w") as file:
        file["spikes"], file["hand"] = counts, np.cos(0.2 * time)[:, None]
        file["hand"].attrs["units"] = "mm"
        file.attrs["bin_width_s"], file.attrs["recording_start_s"] = 0.02, 100.0
    return path


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continuous")
    source = write_session(folder / "session.h5")
    recording = prepare_recording(source, PrepareOptions(chop_s=0.3, chop_overlap_s=0.1))
    write_recording(recording, folder / "chops.h5")
    return folder / "chops.h5"


@pytest.fixture(scope="module")
def run(prepared):
    settings = tiny_settings("model.ic_bins=2", "split.test_fraction=0.2")
    request = FitRequest(source=prepared, folder=prepared.parent / "run", settings=settings)
    with pytest.MonkeyPatch.context() as patch:  # the page takes seconds
        patch.setattr("lfads_torch.analysis.report.render_report", lambda *_, **__: "<html>")
        return fit_file(request, Quiet())


def test_a_fit_writes_rates_of_the_whole_session(run):
    with open_merged(run.path / "merged.nc") as merged, open_rates(run.rates_path) as rates:
        assert merged["rates"].dims == ("time", "unit")
        assert merged["rates"].shape == (N_BINS, N_UNITS)
        np.testing.assert_allclose(merged["time"][:2], [100.01, 100.03])
        assert merged["rates"].attrs["units"] == "spikes/s"
        assert merged["rate_unit"].values.tolist() == ["spikes/s"] * N_UNITS
        assert merged["observation"].values.tolist() == ["poisson"] * N_UNITS
        assert {"rate_unit", "observation"} <= set(merged["rates"].coords)
        has_rates = ~np.isnan(merged["rates"].values).any(axis=1)
        expected = np.ones(N_BINS, dtype=bool)
        expected[:2] = expected[300:310] = False  # the gap, and ic_bins of the first chops
        np.testing.assert_array_equal(has_rates, expected)
        hand = merged["behaviour_hand"].values[:, 0]
        wanted = np.where(expected, np.cos(0.2 * np.arange(N_BINS)), np.nan)
        np.testing.assert_allclose(hand, wanted, atol=1e-6)
        assert merged["behaviour_hand"].attrs["units"] == "mm"
        assert set(np.unique(merged["bin_set"].values)) >= {"", "train", "valid", "test"}
        # A bin of one chop alone has the rates of that chop.
        np.testing.assert_array_equal(merged["rates"][7:9], rates["rates"][0, 5:7])
        assert {"factors", "inferred_input_mean", "rate_posterior_std"} <= set(merged.data_vars)
        inside = rates["session_bin"].values
        assert inside[0] == 2


def test_bins_that_trained_are_never_marked_as_tested(run):
    with open_merged(run.path / "merged.nc") as merged:
        of_bin = merged["bin_set"].values
    chops = read_recording(run.read_record().data_path).chops
    trained = run.read_split()["trials"]["train"]
    for chop in trained:
        start = chops.start_bins[chop] + 2
        assert (of_bin[start : start + 13] == "train").all()


def test_the_file_opens_without_us_and_in_any_program(run):
    with xarray.open_dataset(run.path / "merged.nc", engine="h5netcdf") as merged:
        assert merged.attrs["format"] == "lfads-torch merged rates"
        assert merged.attrs["merged_with"] == "linear"
    with h5py.File(run.path / "merged.nc") as file:
        assert file["rates"].shape == (N_BINS, N_UNITS)


def test_merged_rates_are_exported_like_those_of_trials(run, tmp_path):
    source = run.path / "merged.nc"
    with open_merged(source) as merged:
        rates, hand = merged["rates"].values, merged["behaviour_hand"].values
        factors, sets = merged["factors"].values, merged["bin_set"].values
    export_rates(source, tmp_path / "merged.npz", "npz")
    with np.load(tmp_path / "merged.npz") as found:
        np.testing.assert_array_equal(found["rates"], rates)
    export_rates(source, tmp_path / "merged.mat", "mat")
    np.testing.assert_array_equal(loadmat(tmp_path / "merged.mat")["rates"], rates)
    written = export_rates(source, tmp_path / "merged.csv", "csv")
    assert [path.name for path in written] == ["merged.csv", "merged_factors.csv"]
    of_units, of_bins = (list(csv.DictReader(path.open())) for path in written)
    assert len(of_units) == N_BINS * N_UNITS
    at = 40 * N_UNITS + 1
    assert float(of_units[at]["rates"]) == pytest.approx(rates[40, 1], rel=1e-6)
    assert of_units[at]["unit_id"] == of_units[1]["unit_id"] != of_units[0]["unit_id"]
    assert of_units[at]["bin_set"] == of_bins[40]["bin_set"] == sets[40]
    assert of_units[0]["rates"] == ""  # no chop has a rate there
    assert float(of_bins[40]["factor_1"]) == pytest.approx(factors[40, 1], rel=1e-6)
    assert float(of_bins[40]["behaviour_hand_0"]) == pytest.approx(hand[40, 0], rel=1e-6)


def test_infer_and_merge_give_the_same_file(run, tmp_path):
    rates = infer_file(run, InferRequest(), tmp_path / "new.nc")
    by_itself = merge_source(rates, None, tmp_path / "bare.nc", ramp="linear")
    with_hand = merge_source(rates, prepared_path(run), tmp_path / "hand.nc", ramp="smooth")
    names = ("rates", "factors")
    with (
        open_merged(run.path / "merged.nc") as own,
        open_merged(tmp_path / "new_merged.nc") as inferred,
        open_merged(by_itself) as bare,
        open_merged(with_hand) as smooth,
    ):
        for name in names:
            np.testing.assert_array_equal(own[name], inferred[name])
            np.testing.assert_array_equal(own[name], bare[name])
            differs = own[name].values != smooth[name].values
            share = (differs & ~np.isnan(own[name].values)).mean()
            assert 0.1 < share < 0.3  # in the overlaps alone
        assert "behaviour_hand" in own
        assert "behaviour_hand" not in bare
        np.testing.assert_allclose(smooth["behaviour_hand"], own["behaviour_hand"], atol=1e-6)


def prepared_path(run):
    return run.path.parent / "chops.h5"


def test_a_fit_takes_the_session_itself_and_knows_it_again(tmp_path):
    source = write_session(tmp_path / "session.h5")
    settings = tiny_settings("chop.length_s=0.3", "chop.overlap_s=0.1", "training.epochs=1")
    checked = check_file(source, settings)
    assert checked.report.summary.n_trials > 50
    request = FitRequest(source=source, folder=tmp_path / "run", settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lfads_torch.analysis.report.render_report", lambda *_, **__: "<html>")
        run = fit_file(request, Quiet())
    with open_merged(run.path / "merged.nc") as merged:
        assert merged["rates"].shape == (N_BINS, N_UNITS)
    infer_file(run, InferRequest(n_samples=1), tmp_path / "again.nc")
    other = write_session(tmp_path / "other.h5", n_bins=401, seed=1)
    infer_file(run, InferRequest(source=other, n_samples=1), tmp_path / "other.nc")
    with open_merged(tmp_path / "other_merged.nc") as merged:
        assert merged["rates"].shape == (401, N_UNITS)
    with pytest.raises(DataError, match=r"chop\.length_s and chop\.overlap_s in the settings"):
        read_recording(source)


def test_every_file_that_infer_writes_is_named(run, tmp_path, capsys):
    rates = tmp_path / "s1.nc"
    assert lfads(["infer", str(run.path), "--samples", "0", "--out", str(rates)]) == 0
    assert capsys.readouterr().out.split() == [str(rates), str(tmp_path / "s1_merged.nc")]
    assert (tmp_path / "s1_merged.nc").is_file()


def test_another_session_is_inferred_and_merged(run, tmp_path):
    source = write_session(tmp_path / "other.h5", n_bins=401, seed=1)
    options = PrepareOptions(chop_s=0.3, chop_overlap_s=0.2)
    write_recording(prepare_recording(source, options), tmp_path / "other_chops.h5")
    infer_file(run, InferRequest(source=tmp_path / "other_chops.h5"), tmp_path / "other.nc")
    with open_merged(tmp_path / "other_merged.nc") as merged:
        assert merged["rates"].shape == (401, N_UNITS)
        assert set(np.unique(merged["bin_set"].values)) == {"", "new"}
    with pytest.raises(DataError, match="its chops are not those of"):
        merge_source(tmp_path / "other.nc", prepared_path(run), None, ramp="linear")


def test_files_without_chops_are_refused_with_a_remedy(run, prepared, tmp_path):
    with pytest.raises(FormatError, match="a rates file of lfads-torch is needed"):
        merge_source(prepared, None, tmp_path / "no.nc", ramp="linear")
    with pytest.raises(FormatError, match="a merged file of lfads-torch is needed"):
        open_merged(run.rates_path)
    assert not (tmp_path / "no.nc").exists()


def test_rates_of_another_run_are_kept_unless_asked_otherwise(run, tmp_path):
    from shutil import copytree

    other = RunFolder(copytree(run.path, tmp_path / "run2"))
    renamed = RunFolder(copytree(run.path, tmp_path / "renamed"))
    target = tmp_path / "new.nc"
    request = InferRequest(n_samples=0)
    infer_file(run, request, target)
    before = target.read_bytes()
    with pytest.raises(OutputError, match=r"holds rates of the run run; those of run2 would rep"):
        infer_file(other, request, target)
    assert target.read_bytes() == before
    infer_file(other, replace(request, overwrite=True), tmp_path / "second.nc")
    for source, place in (
        (run.path, other.path / "merged.nc"),
        (tmp_path / "second.nc", tmp_path / "new_merged.nc"),
        (tmp_path / "second.nc", run.path / "merged.nc"),
    ):
        kept = place.read_bytes()
        with pytest.raises(OutputError, match="--overwrite"):
            merge_source(source, None, place, ramp="linear")
        assert place.read_bytes() == kept
    merge_source(tmp_path / "second.nc", None, tmp_path / "new_merged.nc", ramp="linear",
                 overwrite=True)  # fmt: skip
    infer_file(renamed, request, renamed.rates_path)
    merge_source(renamed.path, None, None, ramp="smooth")


def test_all_of_several_files_are_looked_at_the_merged_ones_too(run, tmp_path):
    target = tmp_path / "new.nc"
    infer_file(run, InferRequest(n_samples=0), target)
    target.unlink()
    with h5py.File(tmp_path / "new_merged.nc", "r+") as file:
        file.attrs["run"] = "run2"
    with pytest.raises(OutputError, match=r"new_merged.nc: holds rates of the run run2"):
        need_same_place(run, InferRequest(), target)
    need_same_place(run, InferRequest(overwrite=True), target)
