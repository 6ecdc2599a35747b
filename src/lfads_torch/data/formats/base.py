"""The contract of a reader: a file of some layout -> `Recording`.

A reader says by the content of a file, never by its name, whether it can read it. A plug-in is
a subclass named by the entry-point group `lfads_torch.readers` or as "package.module:Class";
docs/formats.md fixes our own layout. Axes: `B` trial, `L` recording bin, `N` unit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from lfads_torch.data.recording import Recording
from lfads_torch.declare import PluginSettings
from lfads_torch.declared import GivenSettings, SettingValue
from lfads_torch.errors import DataError, FormatError

__all__ = ["ReadOptions", "Reader", "agreed_bin_width", "naming"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a file does not say by itself. Names are those of arrays in the file; None: find out."""

    counts: str | None = None  # array [B, L, N]
    axes: str | None = None  # their order in the file, "unit,bin,trial"; None: as above, or named
    condition: str | None = None  # array [B]
    bin_width_s: float | None = None
    behaviour: tuple[str, ...] = ()  # arrays [B, L, D]; empty: all that fit
    signals: tuple[str, ...] = ()  # "NAME=FAMILY": series of a session that become units
    external_inputs: str | None = None  # array [B, L, X]
    trial_inputs: str | None = None  # array [B, C], constant over a trial
    trial_ids: str | None = None  # array [B]
    unit_ids: str | None = None  # array [N]
    start_s: float | None = None  # left edge of the first bin relative to the alignment event
    session: str | None = None  # None: the file's own, or its name without the suffix
    reader: str | None = None  # name of one, or "package.module:Class"; None: by the content
    chop_s: float | None = None  # of a continuous session: trials in a row of this length
    chop_overlap_s: float = 0.0  # that these share
    read_by: Literal["auto", "memory", "trial"] = "auto"  # trial: counts stay in the file
    memory_gb: float = 0.0  # that counts may take for `auto`; 0: a share of what is free
    # The reader's own settings by dotted name; `read_recording` checks them.
    reader_settings: Mapping[str, SettingValue] = field(default_factory=dict)

    @property
    def own(self) -> GivenSettings:
        """The reader's own settings: `options.own.of(ItsSettings)`."""
        return GivenSettings(self.reader_settings)


class Reader(ABC):
    """Reads one layout. Instances carry no state."""

    name: ClassVar[str]  # how messages, provenance and `reader=` call it
    reads_by_trial: ClassVar[bool] = False  # whether counts may stay in the file (TrialsInFile)
    reads_axes: ClassVar[bool] = False  # whether `ReadOptions.axes` may say their order
    settings_type: ClassVar[type[PluginSettings] | None] = None  # its own settings, if any

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether the content of this file, which exists and can be opened, has this layout."""

    @abstractmethod
    def read(self, path: Path, options: ReadOptions) -> Recording:
        """The recording. FormatError or DataError, beginning with the path, if that fails.

        Own settings are `options.own.of(ItsSettings)`.
        """


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the record itself, which knows no file, get the path in front."""
    try:
        yield
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def agreed_bin_width(path: Path, in_file: float | None, asked: float | None) -> float:
    """The bin width in seconds that file or option give; an error without one or if both differ."""
    if in_file is None and asked is None:
        raise FormatError(
            f"{path}: the file does not say how wide its bins are. Give the width in seconds, "
            "e.g. --bin-width 0.005 (in Python ReadOptions(bin_width_s=0.005)), or store an "
            "attribute bin_width_s in the file."
        )
    if in_file is not None and asked is not None and not math.isclose(in_file, asked, rel_tol=1e-6):
        raise FormatError(
            f"{path}: the file says bin_width_s = {in_file:g}, but --bin-width is {asked:g} "
            "(bin_width_s in Python). "
            "Leave the option out to use the file's width, or mend the file. Widths are in seconds."
        )
    width = in_file if in_file is not None else asked
    assert width is not None  # one of the two is there: checked above
    if not math.isfinite(width) or width <= 0:
        raise FormatError(
            f"{path}: the bin width is {width:g} s; a positive width in seconds is needed."
        )
    return float(width)
