"""`lfads merge`: rates of chops to rates of the whole session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lfads_torch.errors import DataError, SettingsError

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.merged_file import SessionBehaviour

__all__ = ["merge_source"]


def merge_source(
    source: Path,
    data: Path | None,
    target: Path | None,
    *,
    ramp: Literal["linear", "smooth"],
    overwrite: bool = False,
) -> Path:
    """Merge the rates of a run, with its behaviour, or those of a rates file.

    Merged rates of another recording or run are replaced only with `overwrite`.
    """
    from lfads_torch.data.formats.choose import read_recording
    from lfads_torch.outputs.merged_file import write_merged
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.target_file import MERGED as MERGED_KIND
    from lfads_torch.outputs.target_file import prepare_target
    from lfads_torch.workflows.finish import MERGED
    from lfads_torch.workflows.infer_file import merged_beside
    from lfads_torch.workflows.stored import read_recording_of

    if not source.is_dir():
        place = target or merged_beside(source)
        prepare_target(place, MERGED_KIND, inputs=[source] if data is None else [source, data])
        _need_same(place, source, overwrite)
        behaviour = None if data is None else _behaviour(read_recording(data), source)
        return write_merged(source, place, ramp=ramp, behaviour=behaviour)
    if data is not None:
        raise SettingsError(f"{source} is a run, which knows its recording; leave out {data}.")
    run = RunFolder.open(source, needs=("rates.nc",))
    place = prepare_target(target or run.path / MERGED, MERGED_KIND, inputs=[run.rates_path])
    _need_same(place, run.rates_path, overwrite)
    behaviour = _behaviour(read_recording_of(run), run.rates_path)
    return write_merged(run.rates_path, place, ramp=ramp, behaviour=behaviour)


def _need_same(place: Path, rates_path: Path, overwrite: bool) -> None:
    from lfads_torch.outputs.file_kind import hdf5_attributes
    from lfads_torch.outputs.rates_file import FORMAT
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.outputs.same_recording import (
        rates_of_file,
        require_own_place,
        require_same_rates,
    )

    if overwrite or hdf5_attributes(rates_path).get("format") != FORMAT:
        return
    of, folder = rates_of_file(rates_path), rates_path.resolve().parent
    if RunFolder.is_run(folder):
        require_own_place(folder, place)
        if place.resolve().parent == folder:
            of = replace(of, run="")  # which may have got another name since
    require_same_rates(place, of)


def _behaviour(recording: Recording, rates_path: Path) -> SessionBehaviour:
    """The behaviour of the chops that the rates file is of; DataError where it is of others."""
    from lfads_torch.outputs.merged_file import SessionBehaviour
    from lfads_torch.outputs.rates_file import open_rates

    with open_rates(rates_path) as rates:
        ids, n_bins = rates["trial_id"].values, rates.sizes["time"]
        begins = rates["session_bin"].values if "session_bin" in rates.variables else None
    first_bin = recording.n_bins - n_bins
    is_of_these = (
        recording.chops is not None
        and begins is not None
        and np.array_equal(np.asarray(ids, dtype=str), recording.trial_ids.astype(str))
        and np.array_equal(begins, recording.chops.start_bins + first_bin)
    )
    if begins is not None and not is_of_these:
        raise DataError(
            f"{rates_path}: its chops are not those of {recording.session}, so the behaviour does "
            "not belong to them. Give the recording that the rates were inferred from."
        )
    return SessionBehaviour(
        signals=recording.behaviour, units=recording.behaviour_units, first_bin=first_bin
    )
