"""Options for what a data file does not say by itself; every command that reads one has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions

__all__ = ["ReaderArguments", "SearchReaderArguments"]

_GROUP = Group("Reading the file", sort_key=20)
_START_HELP = "left edge of the first bin, s from the alignment event"


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class ReaderArguments:
    """Names of arrays in the file; what is left out is found out where that is possible."""

    counts: Annotated[str | None, Parameter(help="array of counts [trial, bin, unit]")] = None
    axes: Annotated[
        str | None,
        Parameter(
            help="order of the axes of counts in the file where it is another, such as "
            "unit,bin,trial; of a session unit,bin"
        ),
    ] = None
    condition: Annotated[str | None, Parameter(help="array with each trial's condition")] = None
    bin_width: Annotated[float | None, Parameter(help="width of the bins, s")] = None
    behaviour: Annotated[
        tuple[str, ...], Parameter(help="array [trial, bin, dimension]; may be repeated")
    ] = ()
    signals: Annotated[
        tuple[str, ...],
        Parameter(
            help="NAME=FAMILY: series of a session, such as emg=gamma, that become units; may be "
            "repeated"
        ),
    ] = ()
    external_inputs: Annotated[str | None, Parameter(help="array [trial, bin, input]")] = None
    trial_inputs: Annotated[
        str | None, Parameter(help="array [trial, input] of what is constant over a trial")
    ] = None
    trial_ids: Annotated[str | None, Parameter(help="array with each trial's id")] = None
    unit_ids: Annotated[str | None, Parameter(help="array with each unit's id")] = None
    start: Annotated[float | None, Parameter(name=("--start", "--start-s"), help=_START_HELP)] = (
        None
    )
    session: Annotated[str | None, Parameter(help="name of the session")] = None
    reader: Annotated[
        str | None,
        Parameter(help="what reads the file, by name or package.module:Class; else by its content"),
    ] = None

    reader_set: Annotated[
        tuple[str, ...],
        Parameter(help="a setting of the reader's own, section.key=value; may be repeated"),
    ] = ()

    def read_options(self) -> ReadOptions:
        from lfads_torch.config.read import read_overrides
        from lfads_torch.data.formats.base import ReadOptions

        return ReadOptions(
            counts=self.counts,
            axes=self.axes,
            condition=self.condition,
            bin_width_s=self.bin_width,
            behaviour=tuple(self.behaviour),
            signals=tuple(self.signals),
            external_inputs=self.external_inputs,
            trial_inputs=self.trial_inputs,
            trial_ids=self.trial_ids,
            unit_ids=self.unit_ids,
            start_s=self.start,
            session=self.session,
            reader=self.reader,
            reader_settings=read_overrides(tuple(self.reader_set), "--reader-set"),
        )


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class SearchReaderArguments(ReaderArguments):
    """The same for `lfads search`, whose own `--start` says how the search begins."""

    start: Annotated[float | None, Parameter(name="--start-s", help=_START_HELP)] = None
