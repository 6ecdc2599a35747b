"""`lfads fit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.setting_arguments import SettingArguments
from lfads_torch.cli.split_arguments import SplitArguments
from lfads_torch.cli.streams import say

__all__ = ["fit"]

_RUN = Group("The run", sort_key=5)


def fit(
    file: Annotated[Path, Parameter(help="the recording")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="folder of the run; without it, FILE's name and _run", group=_RUN),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="replace the run that the folder holds", group=_RUN)
    ] = False,
    resume_if_exists: Annotated[
        bool, Parameter(help="go on with the run that the folder holds, if any", group=_RUN)
    ] = False,
    seed: Annotated[int | None, Parameter(help="seed of everything random but the split")] = None,
    seeds: Annotated[
        int | None, Parameter(help="restarts trained as members of one population")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Parameter(help="where to compute")
    ] = None,
    threads: Annotated[int | None, Parameter(help="threads of the processor; 0: all")] = None,
    kernels: Annotated[
        Literal["auto", "reference", "portable"], Parameter(help="how recurrences are computed")
    ] = "auto",
    tensorboard: Annotated[
        bool, Parameter(help="also write scalars to RUN/tensorboard", group=_RUN)
    ] = False,
    quiet: Annotated[
        bool, Parameter(help="say nothing but errors and where the results are", group=_RUN)
    ] = False,
    setting_arguments: SettingArguments = SettingArguments(),  # noqa: B008 - frozen
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Train on a recording; write rates, scores and a page.

    The recording is checked first, and refused only where a fit cannot work. Trials are divided
    by the file's own split unless one is given. The run folder explains itself; Ctrl-C and
    SIGTERM leave a checkpoint, from which `lfads resume RUN` goes on exactly.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.workflows.fit_file import FitRequest, fit_file

    folder = out if out is not None else file.parent / f"{file.stem}_run"
    settings = setting_arguments.read(
        {
            "run.seed": ("--seed", seed),
            "run.n_seeds": ("--seeds", seeds),
            "run.device": ("--device", device),
            "run.threads": ("--threads", threads),
            **split_arguments.settings(),
        }
    )
    request = FitRequest(
        source=file,
        folder=folder,
        settings=settings,
        read_options=reader.read_options(),
        split=split_arguments.choice(is_set=setting_arguments.names_a_split),
        kernels=kernels,
        overwrite=overwrite,
        resume_if_exists=resume_if_exists,
        command=tuple(sys.argv),
    )
    if out is None and not quiet:
        say(f"no --out: the run goes to {folder}")
    with (
        recorded_in(folder / "log.txt"),
        Watch(folder, is_quiet=quiet, has_tensorboard=tensorboard) as watch,
    ):
        run = fit_file(request, watch)
    return print_run(run, is_quiet=quiet)
