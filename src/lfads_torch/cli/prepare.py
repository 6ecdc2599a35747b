"""`lfads prepare`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.streams import print_json, say
from lfads_torch.counted import counted
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording

__all__ = ["prepare"]


def prepare(
    source: Annotated[Path, Parameter(help="session: NWB, .npz, HDF5 or MATLAB file")],
    /,
    *,
    out: Annotated[Path, Parameter(help="HDF5 file to write")],
    window: Annotated[
        tuple[float, float] | None, Parameter(help="begin and end around the event, s")
    ] = None,
    event: Annotated[
        str | None, Parameter(help="array of event times; of NWB, a column of trials")
    ] = None,
    stop_event: Annotated[
        str | None, Parameter(help="array of times at which trials end, which may differ in length")
    ] = None,
    chop: Annotated[
        float | None, Parameter(help="instead: trials of this length in a row, s")
    ] = None,
    shortest: Annotated[
        float | None, Parameter(help="stretch between gaps that is a chop still, s; half a chop")
    ] = None,
    recorded: Annotated[
        tuple[float, float] | None, Parameter(help="when the recording ran, begin and end, s")
    ] = None,
    outside: Annotated[
        Literal["missing", "drop", "refuse"],
        Parameter(help="trials that reach beyond the recording: bins missing, trial dropped"),
    ] = "missing",
    overlap: Annotated[
        float | Literal["keep", "drop", "refuse"],
        Parameter(help="of chops, s; or what becomes of trials that share time with another"),
    ] = "keep",
    combine: Annotated[
        Literal["sum", "mean"] | None,
        Parameter(help="how bins are joined to wider ones; counts are added up"),
    ] = None,
    source_bin_width: Annotated[
        float | None, Parameter(help="width of the bins in the file, where it does not say it, s")
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="replace what was prepared from another session in --out")
    ] = False,
    json: Annotated[
        bool, Parameter(help="say as JSON what was made, left out and is missing")
    ] = False,
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> None:
    """Cut a session of spike times or counts into trials of binned counts.

    --bin-width is the width to make. Events are an array of times, one per trial (event_times,
    or the one that --event names); with --stop-event the window's end is relative to the end of
    the trial. --chop cuts the whole session into trials in a row, which `lfads merge` joins again.
    --signals emg=gamma makes units of a time series, averaged in the bins, beside those that spike.
    """
    from lfads_torch.data.formats.ours import write_recording
    from lfads_torch.data.prepare import PrepareOptions, prepare_recording
    from lfads_torch.data.prepare_notes import prepared_lines
    from lfads_torch.outputs.same_recording import require_same_prepared, require_same_source
    from lfads_torch.outputs.target_file import PREPARED, prepare_target

    options = PrepareOptions(
        bin_width_s=reader.bin_width,
        window_s=window,
        event=event,
        stop_event=stop_event,
        chop_s=chop,
        chop_overlap_s=0.0 if isinstance(overlap, str) else overlap,
        shortest_s=shortest,
        outside=outside,
        overlap=overlap if isinstance(overlap, str) else "keep",
        recorded_s=recorded,
        combine=combine,
        read=replace(reader.read_options(), bin_width_s=source_bin_width),
    )
    prepare_target(out, PREPARED, inputs=[source])
    if not overwrite and source.is_file():
        require_same_source(out, source)
    try:
        recording = prepare_recording(source, options)
    except FormatError as error:
        if source_bin_width is None and "bins are" in str(error) and reader.bin_width is not None:
            raise FormatError(
                f"{error} Here --source-bin-width says that; --bin-width is the width to make."
            ) from error
        raise
    _need_known_families(recording)
    if not overwrite:
        require_same_prepared(out, recording.session, recording.provenance)
    write_recording(recording, out)
    if json:
        print_json(_as_json(recording, out))
        return
    n_trials, n_bins, n_units = recording.counts.shape
    width_ms = 1000 * recording.bin_width_s
    print(
        f"{out}: {counted(n_trials, 'trial')}, {counted(n_bins, 'bin')} of {width_ms:g} ms, "
        f"{counted(n_units, 'unit')}"
    )
    for line in prepared_lines(recording):
        say(line)


def _need_known_families(recording: Recording) -> None:
    """Ask now for families that a fit would refuse later."""
    if recording.observation is None:
        return
    from lfads_torch.loss.observations.choose import ENTRY_POINTS, OBSERVATIONS
    from lfads_torch.plugins import need_known

    for name in dict.fromkeys(recording.observation.tolist()):
        if name and ":" not in name:  # a class of the user's is looked for by the fit
            need_known(
                name,
                what="observation family of --signals or of the file",
                ours=OBSERVATIONS,
                entry_points=ENTRY_POINTS,
            )


def _as_json(recording: Recording, out: Path) -> dict[str, Any]:  # JSON values
    n_trials, n_bins, n_units = recording.counts.shape
    return {
        "out": str(out),
        "n_trials": n_trials,
        "n_bins": n_bins,
        "n_units": n_units,
        "bin_width_s": recording.bin_width_s,
        "provenance": dict(recording.provenance),
    }
