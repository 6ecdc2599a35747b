"""`lfads refit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["refit"]


def refit(
    run: Annotated[Path, Parameter(help="folder of the finished run")],
    /,
    *,
    out: Annotated[Path, Parameter(help="folder of the new run")],
    all_trials: Annotated[
        bool, Parameter(help="train on the test trials too; without it they are left out")
    ] = False,
    data: Annotated[
        tuple[Path, ...],
        Parameter(help="where the recording is now, if it moved; one for each session"),
    ] = (),
    overwrite: Annotated[bool, Parameter(help="replace the run that --out holds")] = False,
    quiet: Annotated[
        bool, Parameter(help="say nothing but errors and where the results are")
    ] = False,
) -> int:
    """Train a run's chosen settings on all its trials.

    For as many epochs as its best one took: no trial is left to choose an epoch with.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.finish import finish_run
    from lfads_torch.workflows.fit import FitOptions
    from lfads_torch.workflows.refit import refit_run

    options = FitOptions(session_paths=data, overwrite=overwrite, command=tuple(sys.argv))
    with recorded_in(out / "log.txt"), Watch(out, is_quiet=quiet) as watch:
        refitted = refit_run(
            RunFolder.open(run), out, include_test=all_trials, options=options, observer=watch
        )
        if refitted.read_record().status == "finished":
            finish_run(refitted, data_path=data, anew=True, observer=watch)
    return print_run(refitted, is_quiet=quiet)
