"""`lfads check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments
from lfads_torch.cli.streams import print_json, say

__all__ = ["check"]

_WIDTH_OF_FILES = 120  # where no terminal says how wide it is


def check(
    file: Annotated[Path, Parameter(help="the recording")],
    /,
    *,
    json: Annotated[bool, Parameter(help="as JSON")] = False,
    setting_arguments: SettingArguments = SettingArguments(),  # noqa: B008 - frozen
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Say what is wrong or unusual in a recording, before any training.

    Takes the options of `lfads fit`, so that it looks at what the fit would. Exit code 1 if a
    fit could not work.
    """
    from lfads_torch.data.check.report import errors_of
    from lfads_torch.workflows.check_file import check_file

    checked = check_file(
        file,
        setting_arguments.read(split_arguments.settings()),
        read_options=reader.read_options(),
        split=split_arguments.choice(is_set=setting_arguments.names_a_split),
    )
    if json:
        print_json({**checked.report.to_json(), "notes": checked.notes})
    else:
        from rich.console import Console

        from lfads_torch.data.check.table import check_table

        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        Console(width=width).print(check_table(checked.report))
        for note in checked.notes:
            say(f"note: {note}")
    return 1 if errors_of(checked.report) else 0
