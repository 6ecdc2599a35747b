"""Ctrl-C and SIGTERM: finish the epoch, store, and stop in order; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interruption"]


class Interruption:
    """A context in which the first signal only sets `is_wanted`.

    Outside the main thread, where handlers cannot be set, it never is.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.is_wanted = False
        self.signal_name: str | None = None
        self._say = say
        self._before: dict[int, Any] = {}  # whatever handler was there: callable or constant

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM"):
                number = getattr(signal, name)
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that Python did not set, and cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.is_wanted:
            raise KeyboardInterrupt
        self.is_wanted = True
        self.signal_name = signal.Signals(number).name
        self._say(
            f"{self.signal_name}: finishing this epoch and storing it; once more stops at once"
        )
