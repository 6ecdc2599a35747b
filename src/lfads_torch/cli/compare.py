"""`lfads compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned, print_json, say

if TYPE_CHECKING:
    from lfads_torch.workflows.compare import Comparison

__all__ = ["compare"]


def compare(
    *runs: Annotated[
        Path, Parameter(help="folders of the runs; the first is compared with all others")
    ],
    which_set: Annotated[
        Literal["train", "valid", "test", "all"],
        Parameter(name="--set", help="trials to compare on"),
    ] = "test",
    json: Annotated[bool, Parameter(help="as JSON")] = False,
    lag_ms: Annotated[float, Parameter(help="behaviour follows the rates by this, ms")] = 0.0,
    masks: Annotated[int, Parameter(help="masks of the masked score")] = 5,
    bootstrap: Annotated[int, Parameter(help="draws of trials for the intervals")] = 1000,
    seed: Annotated[int, Parameter(help="seed of masks and draws")] = 0,
    group_by: Annotated[
        Literal["settings", "run"],
        Parameter(help="settings: runs that differ in seeds alone repeat one model"),
    ] = "settings",
    members: Annotated[
        Literal["all", "best"], Parameter(help="of a population: each as a seed, or its best one")
    ] = "all",
) -> None:
    """Compare runs on the same trials and units.

    The difference is the first run's score minus the other's, with a 95 % interval from a
    bootstrap over trials; where that includes 0 it is a tie.
    """
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.compare import compare_runs, comparison_to_json
    from lfads_torch.workflows.scores.trials import Protocol

    comparison = compare_runs(
        [RunFolder.open(run) for run in runs],
        which_set=which_set,
        group_by=group_by,
        members=members,
        protocol=Protocol(seed=seed, n_bootstrap=bootstrap, n_masks=masks, behaviour_lag_ms=lag_ms),
    )
    if json:
        print_json(comparison_to_json(comparison))
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    from lfads_torch.workflows.compare import comparison_rows

    rows = comparison_rows(comparison)
    if rows:
        print(aligned([tuple(rows[0]), *(tuple(row.values()) for row in rows)]))
    for pair in comparison.pairs:
        for name, (first, second) in pair.differing_settings.items():
            say(f"setting {name}: {first} in {pair.first}, {second} in {pair.second}")
        for note in pair.notes:
            say(f"note: {note}")
    for note in comparison.notes:
        say(f"note: {note}")
