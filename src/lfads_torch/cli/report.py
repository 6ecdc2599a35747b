"""`lfads report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.outcome import recorded_in
from lfads_torch.cli.streams import say

__all__ = ["report"]


def report(
    run: Annotated[Path, Parameter(help="folder of the run")],
    /,
    *,
    data: Annotated[
        tuple[Path, ...],
        Parameter(help="where the recording is now, if it moved; one for each session"),
    ] = (),
    anew: Annotated[bool, Parameter(help="infer and evaluate anew as well")] = False,
) -> None:
    """Write a run's page anew; a finished run gets the rates and scores that it lacks."""
    from lfads_torch.outputs.missing_results import results_command
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.finish import finish_run
    from lfads_torch.workflows.report import report_run
    from lfads_torch.workflows.sessions.folder import read_recordings_of

    folder = RunFolder.open(run)

    class Lines:
        """Says what is done; there are no epochs."""

        def message(self, text: str) -> None:
            say(text)

        def epoch(self, report: object, settings: object) -> None:
            return

        def generation(self, report: object, settings: object) -> None:
            return

    with recorded_in(folder.log_path):
        is_finished = folder.read_record().status == "finished"
        if is_finished and (anew or results_command(folder)):
            finish_run(folder, data_path=data, anew=anew, observer=Lines())
        else:
            one = folder.read_record().sessions or not data
            report_run(folder, recording=None if one else read_recordings_of(folder, data)[0])
    print(folder.report_path)
