"""`lfads demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import say

__all__ = ["demo"]


def demo(
    *,
    out: Annotated[
        Path, Parameter(help="folder to write; an earlier demonstration is replaced")
    ] = Path("demo_run"),
    seed: Annotated[int, Parameter(help="seed of the recording and of the weights")] = 0,
    overrides: Annotated[
        tuple[str, ...], Parameter(name="--set", help="section.key=value; may be repeated")
    ] = (),
    quiet: Annotated[
        bool, Parameter(help="say nothing but errors and where the results are")
    ] = False,
) -> int:
    """Search on a synthetic recording whose truth is known, and write the page.

    Exit code 1 if the rates do not follow the true ones.
    """
    from lfads_torch.cli.outcome import recorded_in
    from lfads_torch.cli.run_results import print_run
    from lfads_torch.cli.watch import Watch
    from lfads_torch.workflows.demo import NEEDED_R2, DemoRequest, run_demo

    request = DemoRequest(folder=out, seed=seed, overrides=overrides)
    with recorded_in(out / "log.txt"), Watch(out, is_quiet=quiet) as watch:
        outcome = run_demo(request, watch)
    code = print_run(outcome.run, is_quiet=quiet)
    if outcome.valid_r2 is None:
        return code
    print(f"R2 of the true rates on validation trials: {outcome.valid_r2:.3f}")
    if not outcome.follows_truth:
        say(f"error: the rates do not follow the true ones; at least {NEEDED_R2:g} is needed.")
        return 1
    return code
