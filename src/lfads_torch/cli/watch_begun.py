"""Where a run stands when its watching begins: also what an earlier start of it has done."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING

from lfads_torch.cli.standing import Standing
from lfads_torch.errors import LfadsError

if TYPE_CHECKING:
    from lfads_torch.cli.search_standing import SearchStanding
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.training.loop import EpochReport

__all__ = ["begun"]


def begun(run: RunFolder, settings: Settings, report: EpochReport) -> Standing | SearchStanding:
    """The standing before the epoch of `report`, of a fit or of a search: the record says which."""
    standing: Standing | SearchStanding
    if _is_search(run):
        standing = _search(run, settings, report)
    else:
        training = settings.training
        standing = Standing(training.epochs, waits_for_ramps=training.best_from == "ramps")
    if report.epoch:
        for row in run.metrics.read():
            if row["epoch"] < report.epoch:
                standing.add(row)
    return standing


def _search(run: RunFolder, settings: Settings, report: EpochReport) -> SearchStanding:
    from lfads_torch.cli.search_standing import SearchStanding
    from lfads_torch.outputs.history_file import read_history

    steps_per_epoch = report.step // (report.epoch + 1)
    standing = SearchStanding.of(settings, steps_per_epoch=steps_per_epoch)
    if report.epoch:
        rows = read_history(run.history_path)
        for _, generation in groupby(rows, key=lambda row: row["generation"]):
            standing.finish(list(generation))
    return standing


def _is_search(run: RunFolder) -> bool:
    with suppress(LfadsError):
        return bool(run.read_record().search)
    return False
