"""`lfads infer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.outcome import recorded_in
from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.streams import say

__all__ = ["infer"]


def infer(
    run: Annotated[Path, Parameter(help="folder of the run")],
    /,
    *files: Annotated[
        Path,
        Parameter(help="recordings of the same units; without any, the run's own"),
    ],
    out: Annotated[
        Path, Parameter(help="netCDF file to write; of several sessions a folder of them")
    ],
    samples: Annotated[
        int | None, Parameter(help="posterior samples that are averaged; 0: the posterior mean")
    ] = None,
    generator_states: Annotated[bool, Parameter(help="also write the generator's states")] = False,
    member: Annotated[int | None, Parameter(help="of a population; without it, the best")] = None,
    ensemble: Annotated[
        int | None,
        Parameter(help="average the rates of up to this many models, chosen on validation trials"),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="replace rates of another recording or run that --out holds")
    ] = False,
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> None:
    """Apply a trained run to a recording: rates, factors, inferred inputs.

    Trials that the run was trained or validated on are marked so; those of another recording
    are marked new. Options for reading that are left out are those of the run. In a run of several
    sessions a file belongs to the session of its name (--session gives it another).
    """
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.ensemble import ensemble_note
    from lfads_torch.workflows.infer_file import InferRequest
    from lfads_torch.workflows.lacking_arrays import lacking_note
    from lfads_torch.workflows.sessions.infer import inferred_sessions

    folder = RunFolder.open(run)
    request = InferRequest(
        read_options=reader.read_options(),
        n_samples=samples,
        saves_generator_states=True if generator_states else None,
        member=member,
        ensemble=ensemble,
        overwrite=overwrite,
    )
    with recorded_in(folder.log_path):
        for file in files:
            if note := lacking_note(folder, file, request.read_options):
                say(f"note: {note}")
        found = inferred_sessions(folder, request, files, out, session=reader.session)
        runs = {each.run.path: each.run for each in found} if ensemble is not None else {}
        for own in runs.values():
            if note := ensemble_note(own, ensemble or 0):
                say(f"note: {note}")
        print("\n".join(str(path) for each in found for path in each.paths))
