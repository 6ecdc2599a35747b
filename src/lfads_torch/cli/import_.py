"""`lfads import`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.errors import SettingsError

__all__ = ["import_"]


def import_(
    source: Annotated[
        Path,
        Parameter(
            help="of lfads-torch: a checkpoint (.ckpt) or the folder with it, a YAML "
            "configuration, or a data file (.h5)"
        ),
    ],
    /,
    *,
    out: Annotated[
        Path, Parameter(help="folder of the run; of a configuration or data file, file to write")
    ],
    data: Annotated[
        tuple[Path, ...],
        Parameter(help="recording that the checkpoint was trained on; one per session"),
    ] = (),
    config: Annotated[
        tuple[Path, ...],
        Parameter(help="YAML with what SOURCE does not say itself; may be repeated"),
    ] = (),
    of_session: Annotated[
        int | None, Parameter(help="one session of a model of several, counted from 0")
    ] = None,
    session_names: Annotated[
        str, Parameter(help="names of the sessions, a,b,c; without it, those of the recordings")
    ] = "",
    overrides: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="section.key=value over what is imported; may be repeated"),
    ] = (),
    model_only: Annotated[
        bool, Parameter(help="leave out rates, scores and page; `lfads resume RUN` adds them")
    ] = False,
    overwrite: Annotated[
        bool, Parameter(help="replace the run, or another recording, that --out holds")
    ] = False,
    quiet: Annotated[bool, Parameter(help="say nothing but errors and where the results are")] = (
        False
    ),
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> int:
    """Take over a checkpoint, configuration or data file of lfads-torch.

    A checkpoint becomes a run that `infer`, `evaluate`, `plot` and `report` take; no code in it
    is run. A configuration becomes a settings file for `fit --settings`, and every option is
    named with what becomes of it.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.workflows.from_lfads_torch.import_file import (
        checkpoint_of,
        import_configuration,
        import_recording,
        kind_of_source,
    )
    from lfads_torch.workflows.from_lfads_torch.import_run import ImportRequest, import_run

    kind = kind_of_source(source)
    of_checkpoints = {
        "--data": data, "--of-session": of_session, "--session-names": session_names,
        "--set": overrides, "--model-only": model_only,
    }  # fmt: skip
    if kind != "checkpoint":
        others = {} if kind == "configuration" else {"--config": config}
        _need_none({**of_checkpoints, **others}, source, kind)
    if kind == "recording":
        print(import_recording(source, out, reader.read_options(), overwrite=overwrite))
        return 0
    if kind == "configuration":
        lines = import_configuration((source, *config), out)
        print("\n".join([*([] if quiet else lines), str(out)]))
        return 0
    request = ImportRequest(
        checkpoint=checkpoint_of(source),
        folder=out,
        data=data,
        session_names=tuple(name.strip() for name in session_names.split(",") if name.strip()),
        read_options=reader.read_options(),
        configurations=config,
        session=of_session,
        overrides=overrides,
        overwrite=overwrite,
        command=tuple(sys.argv),
    )
    with recorded_in(out / "log.txt"), Watch(out, is_quiet=quiet) as watch:
        run = import_run(request, watch)
        if not model_only:
            from lfads_torch.workflows.finish import finish_run

            finish_run(run, anew=True, observer=watch)
    return print_run(run, is_quiet=quiet)


def _need_none(options: Mapping[str, object], source: Path, kind: str) -> None:
    """Raise SettingsError where an option is given that this kind of source leaves without use."""
    given = [name for name, value in options.items() if value not in (None, (), "", False)]
    if given:
        raise SettingsError(
            f"{source} is a {kind}, for which {' and '.join(given)} has no use. Leave it out; "
            "settings are given to the fit."
        )
