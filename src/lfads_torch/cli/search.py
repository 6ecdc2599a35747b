"""`lfads search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import SearchReaderArguments
from lfads_torch.cli.run_arguments import RunArguments, TrainingArguments
from lfads_torch.cli.search_arguments import SearchArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments

__all__ = ["search"]


def search(
    file: Annotated[Path, Parameter(help="the recording")],
    /,
    *more: Annotated[Path, Parameter(help="further recordings: sessions of one model")],
    search_arguments: SearchArguments = SearchArguments(),  # noqa: B008 - frozen
    run_arguments: RunArguments = RunArguments(),  # noqa: B008 - frozen
    setting_arguments: SettingArguments = SettingArguments(),  # noqa: B008 - frozen
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: SearchReaderArguments = SearchReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Tune a population on a recording (AutoLFADS); write the best model's rates, scores and page.

    After every generation members with worse validation scores copy better ones and change what
    they copied, until the best score stops improving. The history of every member is in
    RUN/history.csv. Ctrl-C and SIGTERM leave a checkpoint, from which `lfads resume RUN` goes on
    exactly.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.workflows.search_file import SearchRequest, search_file

    given = TrainingArguments(
        run=run_arguments, settings=setting_arguments, split=split_arguments, reader=reader
    )
    settings = given.read_settings(search_arguments.settings())
    folder = run_arguments.folder(file, "_search")
    request = SearchRequest(
        fit=given.request((file, *more), folder, settings),
        choice=search_arguments.choice(),
        list_path=search_arguments.list_path,
    )
    if search_arguments.shapes is not None:
        from lfads_torch.cli.search_shapes import run_shapes

        return run_shapes(request, search_arguments.shapes, run_arguments)
    with (
        recorded_in(folder / "log.txt"),
        Watch(
            folder, is_quiet=run_arguments.quiet, has_tensorboard=run_arguments.tensorboard
        ) as watch,
    ):
        run = search_file(request, watch)
    return print_run(run, is_quiet=run_arguments.quiet)
