"""`lfads resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.run_arguments import KernelsArgument, QuietArgument, TensorboardArgument

__all__ = ["resume"]


def resume(
    run: Annotated[Path, Parameter(help="folder of the run")],
    /,
    *,
    data: Annotated[
        tuple[Path, ...],
        Parameter(help="where the recording is now, if it moved; one for each session"),
    ] = (),
    allow_different_numbers: Annotated[
        bool,
        Parameter(help="go on although device, threads, versions or the population have changed"),
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Parameter(help="compute elsewhere from here on")
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bf16"] | None,
        Parameter(help="operands of products from here on; with --allow-different-numbers"),
    ] = None,
    population: Annotated[
        int | None,
        Parameter(
            help="members of a search from here on: the worst leave, or changed copies join; with "
            "--allow-different-numbers"
        ),
    ] = None,
    kernels: KernelsArgument = "auto",
    tensorboard: TensorboardArgument = False,
    quiet: QuietArgument = False,
) -> int:
    """Go on with a run that was stopped.

    It ends with the same numbers, bit for bit, as if it had not been stopped, on the same
    machine. A run that has finished training gets the results that it lacks.
    """
    from lfads_torch.cli.joint_folder import need_one_run
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.fit import FitOptions
    from lfads_torch.workflows.fit_file import go_on

    need_one_run(run)
    folder = RunFolder.open(run)
    options = FitOptions(
        session_paths=data,
        kernels=kernels,
        allow_different_numbers=allow_different_numbers,
        device=device,
        precision=precision,
        population=population,
    )
    with (
        recorded_in(folder.log_path),
        Watch(run, is_quiet=quiet, has_tensorboard=tensorboard) as watch,
    ):
        folder = go_on(folder, options=options, observer=watch)
    return print_run(folder, is_quiet=quiet)
