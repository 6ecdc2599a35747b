"""`lfads add-session`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.split_arguments import SplitArguments

__all__ = ["add_session"]


def add_session(
    run: Annotated[Path, Parameter(help="folder of a finished run with read-ins")],
    file: Annotated[Path, Parameter(help="recording of the new session")],
    /,
    *,
    out: Annotated[Path, Parameter(help="folder of the new run, of this session")],
    trials: Annotated[
        int | None, Parameter(help="few-shot: training trials to use, evenly over conditions")
    ] = None,
    member: Annotated[
        int | None, Parameter(help="of a population; without it, the best one")
    ] = None,
    overrides: Annotated[
        tuple[str, ...], Parameter(name="--set", help="section.key=value; may be repeated")
    ] = (),
    overwrite: Annotated[bool, Parameter(help="replace the run that --out holds")] = False,
    quiet: Annotated[
        bool, Parameter(help="say nothing but errors and where the results are")
    ] = False,
    split_arguments: SplitArguments = SplitArguments(),  # noqa: B008 - frozen
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Add a recording of other units to a trained model, which stays as it is.

    Only the new session's read-in and read-out are trained; all other weights keep their bits. The
    new run is one of this session: rates, scores and page as of any run. Hold units out
    (--held-out 0.25) to score it by what it never saw.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.sessions.add_file import AddRequest, add_file

    given = split_arguments.settings()
    named = tuple(f"{name}={value}" for name, (_, value) in given.items() if value is not None)
    request = AddRequest(
        source=file,
        folder=out,
        overrides=(*overrides, *named),
        n_trials=trials,
        member=member,
        read_options=reader.read_options(),
        split=split_arguments.choice(
            is_set=any(text.strip().startswith("split.") for text in overrides)
        ),
        overwrite=overwrite,
        command=tuple(sys.argv),
    )
    with recorded_in(out / "log.txt"), Watch(out, is_quiet=quiet) as watch:
        added = add_file(RunFolder.open(run), request, watch)
    return print_run(added, is_quiet=quiet)
