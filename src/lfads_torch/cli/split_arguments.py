"""Options that say which trials and units serve for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from lfads_torch.workflows.choose_split import SplitChoice

__all__ = ["SplitArguments"]

_GROUP = Group("Sets of trials and units", sort_key=15)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class SplitArguments:
    """Without any of them the file's own split holds, or split.* of the settings."""

    split: Annotated[
        tuple[Path, ...],
        Parameter(help="file of `lfads split`; of several recordings one each, in their order"),
    ] = ()
    valid_fraction: Annotated[float | None, Parameter(help="of trials, for validation")] = None
    test_fraction: Annotated[float | None, Parameter(help="of trials, for test")] = None
    held_out: Annotated[
        float | None, Parameter(help="fraction of units never shown to the encoder")
    ] = None
    forward_bins: Annotated[
        int | None, Parameter(help="bins at the end that are predicted only")
    ] = None
    folds: Annotated[int | None, Parameter(help="number of folds; see --fold")] = None
    fold: Annotated[int | None, Parameter(help="which fold tests, from 0")] = None

    def settings(self) -> dict[str, tuple[str, object]]:
        """Dotted name -> option and value."""
        return {
            "split.valid_fraction": ("--valid-fraction", self.valid_fraction),
            "split.test_fraction": ("--test-fraction", self.test_fraction),
            "split.held_out_fraction": ("--held-out", self.held_out),
            "split.n_forward_bins": ("--forward-bins", self.forward_bins),
        }

    def choice(self, *, is_set: bool) -> SplitChoice:
        """`is_set`: `--set split...` was given too."""
        from lfads_torch.workflows.choose_split import SplitChoice

        given = [option for option, value in self.settings().values() if value is not None]
        return SplitChoice(
            paths=self.split,
            n_folds=self.folds,
            fold=self.fold,
            asked=(*given, *(["--set split"] if is_set else [])),
        )
