"""`lfads split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.reader_arguments import ReaderArguments
from lfads_torch.cli.streams import say

__all__ = ["split"]


def split(
    file: Annotated[Path, Parameter(help="the recording")],
    /,
    *,
    out: Annotated[Path, Parameter(help="JSON file to write; with --folds, _0, _1, ... are added")],
    method: Annotated[
        Literal["random", "stratified", "every_kth", "blocks"],
        Parameter(help="stratified: by condition where there are; blocks: of time, with gaps"),
    ] = "stratified",
    blocks: Annotated[int, Parameter(help="how many blocks of time; 0: of about ten trials")] = 0,
    gap_bins: Annotated[
        int, Parameter(help="bins between the sets of blocks; 0: the longest trial's length")
    ] = 0,
    valid_fraction: Annotated[float, Parameter(help="of trials, for validation")] = 0.2,
    test_fraction: Annotated[float, Parameter(help="of trials, for test")] = 0.0,
    held_out_fraction: Annotated[
        float,
        Parameter(
            name=("--held-out", "--held-out-fraction"),
            help="fraction of units never shown to the encoder",
        ),
    ] = 0.0,
    forward_bins: Annotated[int, Parameter(help="bins at the end that are predicted only")] = 0,
    seed: Annotated[int, Parameter(help="seed of the draw")] = 0,
    folds: Annotated[
        int | None, Parameter(help="every trial is in the test set of one fold")
    ] = None,
    valid_ids: Annotated[str | None, Parameter(help="instead: ids to validate, 3,17,42")] = None,
    test_ids: Annotated[str | None, Parameter(help="and ids to test, 5,6")] = None,
    held_out_ids: Annotated[str | None, Parameter(help="and ids of held-out units")] = None,
    reader: ReaderArguments = ReaderArguments(),  # noqa: B008 - frozen
) -> None:
    """Divide trials and units into sets, as a file of its own that every tool can use."""
    from lfads_torch.config.check import settings_from_values
    from lfads_torch.workflows.split_file import GivenIds, SplitRequest, split_to_files

    values = {
        "method": method,
        "valid_fraction": valid_fraction,
        "test_fraction": test_fraction,
        "held_out_fraction": held_out_fraction,
        "n_forward_bins": forward_bins,
        "n_blocks": blocks,
        "gap_bins": gap_bins,
        "seed": seed,
    }
    request = SplitRequest(
        source=file,
        settings=settings_from_values({"split": values}).split,
        read_options=reader.read_options(),
        n_folds=folds,
        ids=GivenIds(valid=_ids(valid_ids), test=_ids(test_ids), held_out_units=_ids(held_out_ids)),
    )
    for path, sizes in split_to_files(request, out, say).items():
        print(f"{path}: {sizes}")


def _ids(text: str | None) -> tuple[str, ...]:
    return tuple(each.strip() for each in (text or "").split(",") if each.strip())
