"""NWB files that are not as the schema says: one message of ours each, and never another error."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.errors import DataError, FormatError

START = PrepareOptions(bin_width_s=0.1, event="start_time", window_s=(0.0, 0.4))
NOT_UTF8 = np.array([b"\xff\xfe", b"\xc3", b"c"], dtype=h5py.string_dtype())


def options(**changes):
    read = ReadOptions(**{name: changes.pop(name) for name in ("condition", "signals", "behaviour")
                          if name in changes})  # fmt: skip
    return PrepareOptions(**{**vars(START), "read": read, **changes})


def put(where, values):
    """The dataset, with what it was marked with, holds something else."""

    def change(file):
        if where in file:
            del file[where]
        file[where] = values

    return change


def group_for(where):
    def change(file):
        del file[where]
        file.create_group(where)

    return change


def observed(intervals, ends):
    def change(file):
        file["units/obs_intervals"], file["units/obs_intervals_index"] = intervals, ends

    return change


def marked(where, name, value):
    return lambda file: file[where].attrs.__setitem__(name, value)


def linked_in_circles(file):
    file["processing/loop"] = h5py.SoftLink("/")


GONE = h5py.ExternalLink("gone.nwb", "/x")
NEEDS_NUMBER = "one number is needed"
CASES = {
    "units_a_dataset": (put("units", [1.0]), START, "units is a dataset; an NWB table, a group"),
    "units_elsewhere": (put("units", GONE), START,
                        r"units is a link to /x in the file gone\.nwb, which can't be opened"),
    "no_unit_rows": (lambda f: [put(f"units/{n}", np.zeros(0, int))(f)
                                for n in ("id", "spike_times", "spike_times_index")],
                     START, "no sorted units: units has no rows.*--signals NAME=FAMILY"),
    "text_times": (put("units/spike_times", np.array(["a"], object)), START, "spike_times"),
    "index_negative": (put("units/spike_times_index", [-1, 5, 8]), START, "row 0 ends at -1"),
    "index_falls": (put("units/spike_times_index", [5, 3, 8]), START, "row 1 ends at 3; ends must"),
    "index_beyond": (put("units/spike_times_index", [5, 5, 9]), START, "row 2 ends at 9"),
    "index_lacks_some": (put("units/spike_times_index", [5, 5, 7]), START, "row 2 ends at 7"),
    "index_short": (put("units/spike_times_index", [5, 8]), START, "3 ids, 2 ends .* 8 values"),
    "index_fractional": (put("units/spike_times_index", [5.0, 5.0, 8.0]), START,
                         "spike_times_index has values of type float64; whole numbers"),
    "index_a_group": (group_for("units/spike_times_index"), START, "spike_times_index is a group"),
    "id_two_axes": (put("units/id", np.ones((3, 3), int)), START, r"units/id has shape \(3, 3\)"),
    "nan_spike": (put("units/spike_times", [0.05, np.nan, 1, 2, 3, 1, 2, 3.0]), START,
                  "1 of the 5 spike times of unit 4 are not finite, the first is nan at position"),
    "intervals_one_axis": (observed([0.0, 1.0, 2.0], [1, 2, 3]), START,
                           r"obs_intervals has shape \(3,\).*begin and end in seconds"),
    "intervals_index": (observed([[0.0, 1.0]], [1, 2, 3]), START, "obs_intervals_index says that"),
    "trials_elsewhere": (put("intervals/trials", h5py.SoftLink("/no")), START,
                         "intervals/trials is a link to /no, which is not in the file"),
    "trial_ids_not_utf8": (put("intervals/trials/id", NOT_UTF8), START, "is not UTF-8"),
    "trial_ids_nan": (put("intervals/trials/id", np.full(3, np.nan)), START,
                      "trials/id has values of type float64; whole numbers or text are needed"),
    "no_trials": (lambda f: f.__delitem__("intervals"), options(event=None),
                  r"no table of trials \(intervals/trials\) to cut trials around.*--chop"),
    "event_unknown": (lambda f: None, options(event="go_time"),
                      "no array 'go_time' for the event times. Did you mean 'go_cue_time'"),
    "event_text": (lambda f: None, options(event="target"),
                   "'target' can't be event times: it has type text.*arrays of events: event_ti"),
    "event_ragged": (lambda f: None, options(event="timeseries"),
                     "'timeseries' can't be event times: it has several values per trial"),
    "column_short": (put("intervals/trials/target", np.ones(2)), options(condition="target"),
                     r"'target' for the condition can't be read: it has shape \(2,\); one value"),
    "series_elsewhere": (put("acquisition/pupil/data", GONE), options(signals=("pupil=gamma",)),
                         r"'pupil' for the signals can't be read: its data is a link to /x in the"),
    "behaviour_elsewhere": (put("acquisition/pupil", GONE), options(behaviour=("pupil",)),
                            r"'pupil' for the behaviour can't be read: it is a link to /x"),
    "conversion": (marked("acquisition/pupil/data", "conversion", "x"), START, NEEDS_NUMBER),
    "rate": (marked("acquisition/pupil/starting_time", "rate", 0.0), START, "rate, above 0 in Hz"),
    "rate_text": (marked("acquisition/pupil/starting_time", "rate", b"\xff"), START, NEEDS_NUMBER),
    "by_dimension": (put("acquisition/raw/channel_conversion", "x"),
                     options(signals=("raw=gaussian",)), "channel_conversion has shape"),
    "milliseconds": (put("intervals/trials/stop_time", [1e12, 1e13, 1e14]),
                     options(stop_event="stop_time"), "the longest trial.*bins of 0.1 s; at most"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_malformed_files_are_named_with_what_is_needed(nwb_session, case):
    change, asked, message = CASES[case]
    with h5py.File(nwb_session, "r+") as file:
        change(file)
    with pytest.raises((DataError, FormatError), match=message) as caught:
        prepare_recording(nwb_session, asked)
    assert str(caught.value).startswith(str(nwb_session))


@pytest.mark.parametrize("n_bytes", [50, 3000, 20000])
def test_a_file_cut_short(nwb_session, n_bytes):
    nwb_session.write_bytes(nwb_session.read_bytes()[:n_bytes])
    with pytest.raises(FormatError, match=r"cut short|not of a known kind|damaged"):
        prepare_recording(nwb_session, START)


def test_spike_times_in_any_order_are_the_same(nwb_session):
    wanted = prepare_recording(nwb_session, START).counts
    with h5py.File(nwb_session, "r+") as file:
        file["units/spike_times"][:5] = file["units/spike_times"][:5][::-1]
    np.testing.assert_array_equal(prepare_recording(nwb_session, START).counts, wanted)


def test_links_in_circles_end(nwb_session):
    with h5py.File(nwb_session, "r+") as file:
        linked_in_circles(file)
    assert prepare_recording(nwb_session, START).trial_ids.tolist() == [10, 11, 12]


def test_trials_of_another_table_of_intervals(nwb_session):
    with h5py.File(nwb_session, "r+") as file:
        file["intervals"].copy("trials", "epochs")
        file["intervals/epochs/id"][...] = [7, 8, 9]
        del file["intervals/trials"]
    found = prepare_recording(
        nwb_session, options(event="epochs/start_time", condition="epochs/target")
    )
    assert found.trial_ids.tolist() == [7, 8, 9]
    assert found.condition.tolist() == ["left", "right", "left"]
