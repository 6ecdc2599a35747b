"""Arrays that are no recording: each gives one message of ours and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from malformed_files import GOOD, WIDTH, RunsCode, assert_refused, hdf5, npz, ours

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.errors import DataError, FormatError

CASES = {
    # name: (writes the file, options, error, what the message says)
    "no_arrays": (
        lambda p: hdf5(p),
        WIDTH,
        FormatError,
        "no array looks like counts.*no arrays at all",
    ),
    "two_candidates": (
        lambda p: hdf5(p, a=GOOD, b=GOOD),
        WIDTH,
        FormatError,
        r"2 arrays could be the counts.*--counts NAME.*a \[2, 4, 3\] uint8; b \[",
    ),
    "fractional_unnamed": (
        lambda p: hdf5(p, a=GOOD * 0.5),
        WIDTH,
        FormatError,
        "no array looks like counts",
    ),
    "wrong_name": (
        lambda p: hdf5(p, spikes=GOOD, speed=GOOD),
        replace(WIDTH, counts="spike"),
        FormatError,
        "no array 'spike' for the counts. Did you mean 'spikes'",
    ),
    "wrong_condition": (
        lambda p: hdf5(p, spikes=GOOD, target=[1, 2]),
        replace(WIDTH, condition="targets"),
        FormatError,
        "no array 'targets' .*Did you mean 'target'",
    ),
    "wrong_behaviour": (
        lambda p: hdf5(p, spikes=GOOD),
        replace(WIDTH, behaviour=("hand",)),
        FormatError,
        "no array 'hand'",
    ),
    "continuous": (
        lambda p: hdf5(p, counts=GOOD[0]),
        WIDTH,
        DataError,
        r"shape \(4, 3\).*three axes.*lfads prepare",
    ),
    "four_axes": (
        lambda p: npz(p, counts=GOOD[None]),
        WIDTH,
        DataError,
        r"\(1, 2, 4, 3\).*three axes",
    ),
    "zero_units": (
        lambda p: hdf5(p, counts=GOOD[..., :0]),
        WIDTH,
        DataError,
        "at least one trial, bin and unit",
    ),
    "zero_trials": (lambda p: npz(p, counts=GOOD[:0]), WIDTH, DataError, "at least one trial, bin"),
    "words": (
        lambda p: npz(p, counts=np.full((2, 4, 3), "a")),
        WIDTH,
        FormatError,
        "type <U1; real numbers",
    ),
    "complex": (
        lambda p: hdf5(p, counts=GOOD * 1j),
        WIDTH,
        FormatError,
        "complex128; real numbers",
    ),
    "dates": (
        lambda p: npz(p, counts=GOOD.astype("M8[s]")),
        WIDTH,
        FormatError,
        "neither numbers nor text",
    ),
    "no_bin_width": (
        lambda p: hdf5(p, counts=GOOD),
        ReadOptions(),
        FormatError,
        "--bin-width 0.005",
    ),
    "negative_bin_width": (
        lambda p: hdf5(p, counts=GOOD),
        ReadOptions(bin_width_s=-0.01),
        FormatError,
        "is -0.01 s; a positive",
    ),
    "nan_bin_width": (
        lambda p: npz(p, counts=GOOD, bin_width_s=np.nan),
        ReadOptions(),
        FormatError,
        "is nan s; a positive",
    ),
    "two_bin_widths": (
        lambda p: npz(p, counts=GOOD, bin_width_s=0.02),
        WIDTH,
        FormatError,
        "file says bin_width_s = 0.02, but --bin-width is 0.01",
    ),
    "bin_width_of_words": (
        lambda p: npz(p, counts=GOOD, bin_width_s="5 ms"),
        ReadOptions(),
        FormatError,
        "real numbers",
    ),
    "doubled_trial_ids": (
        lambda p: hdf5(p, counts=GOOD, trial_ids=[7, 7]),
        WIDTH,
        DataError,
        "trial_ids are not unique",
    ),
    "doubled_unit_ids": (
        lambda p: hdf5(p, counts=GOOD, unit_ids=[1, 2, 1]),
        WIDTH,
        DataError,
        "unit_ids are not unique",
    ),
    "fewer_ids": (
        lambda p: hdf5(p, counts=GOOD, unit_ids=[1, 2]),
        WIDTH,
        DataError,
        "has 2 ids, but .* 3 units",
    ),
    "short_condition": (
        lambda p: hdf5(p, counts=GOOD, kind=[1]),
        replace(WIDTH, condition="kind"),
        DataError,
        "1 entries, but there are 2 trials",
    ),
    "nan_condition": (
        lambda p: hdf5(p, counts=GOOD, condition=[1.0, np.nan]),
        WIDTH,
        FormatError,
        "not finite at position 1",
    ),
    "behaviour_of_other_bins": (
        lambda p: hdf5(p, counts=GOOD, hand=np.zeros((2, 5, 2))),
        replace(WIDTH, behaviour=("hand",)),
        DataError,
        r"behaviour 'hand' has shape \(2, 5, 2\)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_recording_gives_one_message(tmp_path, monkeypatch, case):
    assert_refused(CASES[case], tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("matlap", "reader: there is no 'matlap'. Did you mean 'matlab'"),
        ("no.such.module:Reader", "could not be loaded"),
        (
            "pathlib:Path",
            "is of another kind; derive the class from lfads_torch.data.formats.base.Reader",
        ),
        ("pathlib:NoSuchClass", "could not be loaded"),
    ],
)
def test_unknown_readers(tmp_path, reader, message):
    with pytest.raises(FormatError, match=message):
        read_recording(ours(tmp_path / "a.h5"), reader=reader)


def test_the_arrays_of_python_are_checked_as_files_are():
    with pytest.raises(DataError, match=r"2 trials differ in shape, from \(4, 2\) to \(4, 3\)"):
        recording_from_arrays([GOOD[0], GOOD[1, :, :2]], bin_width_s=0.01)
    for counts, message in (
        (GOOD * 1j, "type complex128; real numbers"),
        ([["a"]], "type <U1"),
        (GOOD[0], "three axes are needed"),
        (np.array([RunsCode()]), "type object"),
    ):
        with pytest.raises(DataError, match=message):
            recording_from_arrays(counts, bin_width_s=0.01)
    with pytest.raises(DataError, match="condition have type float64; integers or text"):
        recording_from_arrays(GOOD, bin_width_s=0.01, condition=[0.5, 1.0])
    for width in (0, -1, np.nan, "5 ms", None):
        with pytest.raises(DataError, match="a positive width in seconds is needed"):
            recording_from_arrays(GOOD, bin_width_s=width)
