"""The page of a run, from what its folder holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.errors import LfadsError, RunError, SettingsError
from lfads_torch.workflows.sample import as_many_as_fit

if TYPE_CHECKING:
    import xarray

    from lfads_torch.analysis.figures.base import FigureInputs
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["figure_inputs", "recording_if_there", "report_run"]


def report_run(run: RunFolder, *, recording: Recording | None = None) -> Path:
    """Write `report.html`; what the run lacks, the page says. Returns its path."""
    from lfads_torch.analysis.report import write_report

    with figure_inputs(run, recording=recording) as inputs:
        return write_report(run.report_path, inputs)


@contextmanager
def figure_inputs(
    run: RunFolder,
    *,
    recording: Recording | None = None,
    rates_path: Path | None = None,
    shown: Sequence[str | int] = (),
) -> Iterator[FigureInputs]:
    """Everything of a run that figures are drawn from; the rates stay open while the body runs.

    `recording` is the one that the rates (`rates_path`, or the run's own) were inferred from; the
    run's own is read where it still is. What is missing is left empty: figures say so. Of a
    recording that is read by trial, as many trials as fit are there, those `shown` among them.
    """
    from lfads_torch.analysis.figures.base import FigureInputs
    from lfads_torch.config.tree import to_dict
    from lfads_torch.outputs.history_file import read_history
    from lfads_torch.outputs.json_text import plain
    from lfads_torch.outputs.rates_file import open_rates
    from lfads_torch.workflows.stored import read_settings_of

    if recording is None and rates_path is None:
        recording = recording_if_there(run)
    path = rates_path or run.rates_path
    with ExitStack() as stack:
        has_rates = rates_path is not None or path.is_file()
        rates = stack.enter_context(open_rates(path)) if has_rates else None
        rates, recording = _sample(run, rates, recording, shown)
        yield FigureInputs(
            rates=rates,
            recording=recording,
            metrics=run.metrics.read(),
            scores=run.read_scores() if run.scores_path.is_file() else {},
            run=plain(run.read_record()),
            settings=to_dict(read_settings_of(run)) if run.settings_path.is_file() else {},
            check=run.read_check() if run.check_path.is_file() else {},
            history=read_history(run.history_path),
            space=_space_of(run),
            alignment=_alignment_of(run),
        )


def _sample(
    run: RunFolder,
    rates: xarray.Dataset | None,
    recording: Recording | None,
    shown: Sequence[str | int],
) -> tuple[xarray.Dataset | None, Recording | None]:
    """As many trials of both as fit in memory, where the counts are in a file; else all."""
    if recording is None or recording.in_file is None:
        return rates, recording
    ids = [str(one) for one in recording.trial_ids.tolist()]
    asked = [ids.index(str(one)) for one in shown if str(one) in ids]
    n_stored = run.read_record().n_trials_at_once
    chosen = as_many_as_fit(recording, np.arange(recording.n_trials), n_stored)
    chosen = np.union1d(chosen, np.array(asked, dtype=np.int64))
    recording = recording.take_trials(chosen).in_memory()
    if rates is None:
        return None, recording
    own = {str(one) for one in recording.trial_ids.tolist()}
    of_rates = [n for n, one in enumerate(rates["trial_id"].values.tolist()) if str(one) in own]
    return rates.isel(trial=np.array(of_rates, dtype=np.int64)), recording


def _alignment_of(run: RunFolder) -> dict[str, Any]:  # JSON values, see docs/formats.md
    path = run.path / "alignment.json"
    if not path.is_file():
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}). The file was changed or the disk is damaged: "
            "restore it from a copy."
        ) from error
    return read if isinstance(read, dict) else {}


def _space_of(run: RunFolder) -> dict[str, Any]:  # values of `space.yaml`, see docs/formats.md
    from lfads_torch.config.yaml_text import read_mapping

    path = run.space_path
    if not path.is_file():
        return {}
    try:
        read = read_mapping(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, SettingsError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}). The file was changed or the disk is damaged: "
            "restore it from a copy."
        ) from error
    return {name: entry for name, entry in read.values.items() if isinstance(entry, dict)}


def recording_if_there(run: RunFolder) -> Recording | None:
    """The recording a run was trained on; None where it has gone or has changed since."""
    from lfads_torch.workflows.stored import read_recording_of

    try:
        return read_recording_of(run)
    except LfadsError:  # RunError, or whatever a file that took its place is found to be
        return None
