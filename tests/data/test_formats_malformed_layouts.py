"""Our own files and lfads-torch's, not as their layout says: one message of ours each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from malformed_files import GOOD, WIDTH, assert_refused, hdf5, ours

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.errors import DataError, FormatError


def altered(path: Path, change) -> None:
    with h5py.File(ours(path), "a") as file:
        change(file)


def replaced(path: Path, name: str, values: object) -> None:
    def change(file):
        del file[name]
        file[name] = values

    altered(path, change)


def layout(path: Path, **changes: object) -> None:
    arrays = {
        f"{name}_{part}": GOOD
        for name in ("train", "valid")
        for part in ("encod_data", "recon_data")
    }
    arrays.update(changes)
    hdf5(path, **{name: values for name, values in arrays.items() if values is not None})


CASES = {
    # name: (writes the file, options, error, what the message says)
    "newer_version": (
        lambda p: altered(p, lambda f: f.attrs.update(format_version=2)),
        WIDTH,
        FormatError,
        "format_version 2, this lfads-torch reads up to 1. Install a newer",
    ),
    "no_version": (
        lambda p: altered(p, lambda f: f.attrs.pop("format_version")),
        WIDTH,
        FormatError,
        "format_version is None; a whole number",
    ),
    "other_format": (
        lambda p: altered(p, lambda f: f.attrs.update(format="lfads-torch rates")),
        WIDTH,
        FormatError,
        "kind 'lfads-torch rates'; a recording is needed",
    ),
    "no_counts": (
        lambda p: altered(p, lambda f: f.pop("counts")),
        WIDTH,
        FormatError,
        "'counts' is missing",
    ),
    "ours_with_wrong_shape": (
        lambda p: replaced(p, "trial_ids", [1, 2, 3]),
        WIDTH,
        DataError,
        r"trial_ids has shape \(3,\)",
    ),
    "ours_with_words": (
        lambda p: replaced(p, "counts", [[["a"]]]),
        WIDTH,
        DataError,
        "counts have type <U1",
    ),
    "ours_with_broken_split": (
        lambda p: altered(p, lambda f: f.create_group("split")),
        WIDTH,
        FormatError,
        "split in the file lacks",
    ),
    "ours_with_broken_provenance": (
        lambda p: altered(p, lambda f: f.attrs.update(provenance="{")),
        WIDTH,
        FormatError,
        "no JSON text",
    ),
    "ours_with_a_name": (
        ours,
        replace(WIDTH, counts="spikes"),
        FormatError,
        "leave out --counts spikes",
    ),
    "ours_without_that_behaviour": (
        ours,
        replace(WIDTH, behaviour=("hand",)),
        FormatError,
        "no behaviour 'hand'. Found: none",
    ),
    "layout_without_validation": (
        lambda p: layout(p, valid_encod_data=None),
        WIDTH,
        FormatError,
        "needs train_encod_data",
    ),
    "layout_without_bin_width": (layout, ReadOptions(), FormatError, "--bin-width 0.005"),
    "layout_of_other_units": (
        lambda p: layout(p, valid_encod_data=GOOD[..., :2]),
        WIDTH,
        DataError,
        "encod_data differ in bins or units",
    ),
    "layout_with_smaller_recon": (
        lambda p: layout(p, train_recon_data=GOOD[:, :3], valid_recon_data=GOOD[:, :3]),
        WIDTH,
        DataError,
        "train_recon_data has shape .2, 3, 3., train_encod_data",
    ),
    "layout_of_other_values": (
        lambda p: layout(p, valid_recon_data=GOOD + 1),
        WIDTH,
        DataError,
        "differ in 24 entries, the first at trial 0",
    ),
    "layout_without_factor": (
        lambda p: layout(p, train_truth=GOOD * 1.0),
        WIDTH,
        FormatError,
        "conversion_factor is None",
    ),
    "layout_of_two_axes": (
        lambda p: layout(p, train_encod_data=GOOD[0]),
        WIDTH,
        DataError,
        r"train_encod_data has shape \(4, 3\)",
    ),
    "layout_with_inputs_in_one_set": (
        lambda p: layout(p, train_ext_input=np.zeros((2, 4, 1))),
        WIDTH,
        FormatError,
        "'valid_ext_input'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_recording_gives_one_message(tmp_path, monkeypatch, case):
    assert_refused(CASES[case], tmp_path, monkeypatch)
