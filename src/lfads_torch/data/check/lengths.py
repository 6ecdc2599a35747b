"""Trials and bins so long that they were most likely meant in milliseconds."""

from __future__ import annotations

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding
from lfads_torch.data.recording import Recording

__all__ = ["LONGEST_TRIAL_S", "check_lengths", "lengths_in_milliseconds"]

LONGEST_TRIAL_S, WIDEST_BIN_S = 60.0, 1.0  # seconds of a model of single trials are fewer


def lengths_in_milliseconds(recording: Recording) -> str | None:
    """What is odd about the length of trials or bins; None where nothing is."""
    width_s = recording.bin_width_s
    length_s = recording.n_bins * width_s
    if width_s < WIDEST_BIN_S and length_s < LONGEST_TRIAL_S:
        return None
    return f"trials are {length_s:g} s long and bins {width_s:g} s wide"


def check_lengths(context: CheckContext) -> list[Finding]:
    """Of a minute and more, or with bins of a second and more."""
    found = lengths_in_milliseconds(context.recording)
    if found is None:
        return []
    return [
        Finding(
            severity="warning",
            code="lengths_in_milliseconds",
            message=f"{found[0].upper()}{found[1:]}. Were milliseconds meant?",
            remedy="Times are in seconds: a bin of 5 ms is 0.005, a trial of 700 ms is 0.7. Where "
            "the file's own times are in milliseconds, divide them by 1000.",
        )
    ]
