"""`lfads fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.run_arguments import RunArguments, TrainingArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments

__all__ = ["fit"]


def fit(
    file: Annotated[Path, Parameter(help="the recording")],
    /,
    *more: Annotated[Path, Parameter(help="further recordings: sessions of one model")],
    seeds: Annotated[
        int | None, Parameter(help="restarts trained as members of one population")
    ] = None,
    run_arguments: RunArguments = RunArguments(),  # noqa: B008 - frozen
    setting_arguments: SettingArguments = SettingArguments(),  # noqa: B008 - frozen
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Train on a recording, or on several as sessions of one model; write rates, scores, a page.

    The recording is checked first, and refused only where a fit cannot work. Trials are divided
    by the file's own split unless one is given. The run folder explains itself; Ctrl-C and
    SIGTERM leave a checkpoint, from which `lfads resume RUN` goes on exactly.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.workflows.fit_file import fit_file

    given = TrainingArguments(
        run=run_arguments, settings=setting_arguments, split=split_arguments, reader=reader
    )
    settings = given.read_settings({"run.n_seeds": ("--seeds", seeds)})
    folder = run_arguments.folder(file, "_run")
    request = given.request((file, *more), folder, settings)
    with (
        recorded_in(folder / "log.txt"),
        Watch(
            folder, is_quiet=run_arguments.quiet, has_tensorboard=run_arguments.tensorboard
        ) as watch,
    ):
        run = fit_file(request, watch)
    return print_run(run, is_quiet=run_arguments.quiet)
