"""Scalars of a run for TensorBoard, an optional extra: `pip install lfads-torch[tensorboard]`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from types import TracebackType

from lfads_torch.errors import SettingsError

__all__ = ["TensorBoardScalars"]

NO_CURVES = ("epoch", "step", "members")  # the axis of the plots, and the members' ids


class TensorBoardScalars:
    """Writes rows of metrics as scalars over epochs; use it as a context manager.

    A quantity of several members becomes one curve per member, `NAME/member_0` and so on. `null`
    and non-finite values are left out. `first_epoch` of a resumed run hides what an interrupted
    one had written from there on.
    """

    def __init__(self, folder: str | os.PathLike[str], *, first_epoch: int | None = None) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SettingsError(
                "TensorBoard was asked for and is not installed. Install it with "
                "`pip install lfads-torch[tensorboard]`, or leave it off: metrics.jsonl in the "
                "run folder has the same numbers."
            ) from error
        self._writer = SummaryWriter(os.fspath(folder), purge_step=first_epoch)

    def write(self, row: Mapping[str, object]) -> None:
        """Add one row of `metrics.jsonl`; it must have an `epoch`."""
        epoch = row["epoch"]
        for name, value in row.items():
            if name not in NO_CURVES:
                for tag, number in _scalars(name, value, row.get("members")):
                    self._writer.add_scalar(tag, number, epoch)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> TensorBoardScalars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _scalars(name: str, value: object, ids: object) -> Iterator[tuple[str, float]]:
    found = value.tolist() if hasattr(value, "tolist") else value
    values = found if isinstance(found, (list, tuple)) else [found]
    members = ids if isinstance(ids, (list, tuple)) else range(len(values))
    for member, number in zip(members, values, strict=False):
        if isinstance(number, (int, float)) and math.isfinite(number):
            yield (name if len(values) == 1 else f"{name}/member_{member}"), float(number)
