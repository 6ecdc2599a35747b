"""Who watches a fit or a search from the command line: terminal or plain lines, and the log."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lfads_torch.cli.run_log import RunLog
from lfads_torch.cli.standing import Standing
from lfads_torch.cli.streams import say
from lfads_torch.cli.watch_begun import begun
from lfads_torch.outputs.run_folder import RunFolder

if TYPE_CHECKING:
    from lfads_torch.cli.live import LiveView
    from lfads_torch.cli.search_standing import SearchStanding
    from lfads_torch.config.tree import Settings
    from lfads_torch.outputs.tensorboard import TensorBoardScalars
    from lfads_torch.search.history import GenerationReport
    from lfads_torch.training.loop import EpochReport

__all__ = ["Watch"]

_LINE_EVERY_S = 30.0


class Watch:
    """An observer of `fit_run` and `search_run`; use it in a `with` statement.

    In a terminal the view is live; elsewhere a line every 30 s, after a generation and at the end.
    `quiet` says nothing. The log gets the messages and the lines in any case.
    """

    def __init__(
        self, folder: Path, *, is_quiet: bool = False, has_tensorboard: bool = False
    ) -> None:
        self._run, self._is_quiet = RunFolder(folder), is_quiet
        self._log = RunLog(folder)
        self._standing: Standing | SearchStanding | None = None
        self._live: LiveView | None = None
        self._scalars: TensorBoardScalars | None = None
        self._has_tensorboard = has_tensorboard
        self._line_at = time.monotonic()
        self._is_line_due = False
        if has_tensorboard:
            _require_tensorboard()
        if not is_quiet and sys.stderr.isatty():
            from lfads_torch.cli.live import LiveView

            self._live = LiveView()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_of_training()
        if error is not None:
            self._log.write(f"ended: {kind.__name__ if kind else ''} {error}")
        if self._scalars is not None:
            self._scalars.close()

    def message(self, text: str) -> None:
        if self._standing is not None and self._standing.is_over:
            self._end_of_training()
        self._log.write(text)
        if self._live is not None:
            self._live.message(text)
        elif not self._is_quiet:
            say(text)

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        if self._standing is None:
            self._standing = begun(self._run, settings, report)
        self._standing.add(report.row())
        self._is_line_due = True
        self._show()
        if time.monotonic() - self._line_at >= _LINE_EVERY_S:
            self._line()
        if self._has_tensorboard:
            self._write_scalars(report)

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        standing = self._standing
        if standing is None or isinstance(standing, Standing):
            return  # not one epoch of it was seen
        standing.finish(report.rows)
        self._is_line_due = False
        self._tell(standing.generation_line())
        self._show()

    def _show(self) -> None:
        if self._live is None or self._standing is None:
            return
        if not isinstance(self._standing, Standing):
            self._standing.look(self._run)
        self._live.show(self._standing)

    def _line(self) -> None:
        assert self._standing is not None  # an epoch was observed
        self._line_at, self._is_line_due = time.monotonic(), False
        self._tell(self._standing.line())

    def _tell(self, text: str) -> None:
        """A line for the log, and for who has no live view."""
        self._log.write(text)
        if self._live is None and not self._is_quiet:
            say(text)

    def _end_of_training(self) -> None:
        if self._is_line_due:
            self._line()
        if self._live is not None:
            self._live.close()

    def _write_scalars(self, report: EpochReport) -> None:
        from lfads_torch.outputs.tensorboard import TensorBoardScalars

        if self._scalars is None:
            self._scalars = TensorBoardScalars(
                self._run.path / "tensorboard", first_epoch=report.epoch
            )
        self._scalars.write(report.row())


def _require_tensorboard() -> None:
    """Say that it is missing before hours of training and not after the first epoch."""
    from importlib.util import find_spec

    from lfads_torch.errors import SettingsError

    if find_spec("tensorboard") is None:
        raise SettingsError(
            "--tensorboard needs an extra that is not installed: "
            "`pip install lfads-torch[tensorboard]`. metrics.jsonl in the run folder has the same "
            "numbers."
        )
