"""How a command ends: its exit code, and one message instead of a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lfads_torch.cli.streams import say
from lfads_torch.errors import LfadsError
from lfads_torch.plugin_fault import plugin_fault

__all__ = ["INTERRUPTED_CODE", "TERMINATED_CODE", "RecordedError", "exit_code_of", "recorded_in"]

# As shells count: 128 and the number of the signal.
INTERRUPTED_CODE, TERMINATED_CODE, BROKEN_PIPE_CODE = 130, 143, 141


class RecordedError(Exception):
    """An error in our own code or a plug-in's; its traceback stands in the file at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@contextmanager
def recorded_in(log_path: Path) -> Iterator[None]:
    """The traceback of an error without a message of ours goes to a run's log, if there is one."""
    import traceback

    from lfads_torch.outputs.run_folder import RunFolder

    try:
        yield
    except (LfadsError, MemoryError, BrokenPipeError):
        raise
    except Exception as error:
        if not RunFolder.is_run(log_path.parent):
            raise
        with suppress(OSError), log_path.open("a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
            raise RecordedError(log_path) from error
        raise


def exit_code_of(call: Callable[[], int], *, is_debugging: bool = False) -> int:
    """The exit code of a command; whatever goes wrong is said on stderr in one message."""
    try:
        with _sigterm_raises():
            code = call()
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        say("stopped")
        return INTERRUPTED_CODE
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE_CODE
    except LfadsError as error:
        _print_traceback(is_debugging)
        say(f"error: {error}")
        return 1
    except MemoryError:
        say("error: memory ran out. Use a smaller recording, or a machine with more memory.")
        return 1
    except Exception as error:
        _print_traceback(is_debugging)
        say(_unexpected(error))
        return 1


def _print_traceback(is_debugging: bool) -> None:
    if is_debugging:
        import traceback

        traceback.print_exc()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends the program as an exception, so that nothing half-written stays behind.

    While a run trains, `workflows.interruption` takes its place. Windows has SIGBREAK instead.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _on_sigterm) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED_CODE)


def _unexpected(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, RecordedError) and error.__cause__ else error
    fault = plugin_fault(cause)
    if fault is not None:
        return (
            f"error: {fault}. Mend the plug-in (lfads_torch.testing has tests for each kind); the "
            f"full traceback is in {_traceback_path(error)}."
        )
    first = (str(cause).splitlines() or ["no details"])[0]
    if plugins := _plugins_of_run(error):
        return (
            f"error: an unexpected {type(cause).__name__} ({first}) in a run with the "
            f"{plugins}. What a plug-in gives back may not be what its contract asks for: test "
            "it with the classes of lfads_torch.testing. If they pass, please report this with the "
            f"traceback in {_traceback_path(error)}."
        )
    return (
        f"error: lfads-torch failed unexpectedly ({type(cause).__name__}: {first}). This is a "
        "mistake in the program, please report it with the traceback in "
        f"{_traceback_path(error)}."
    )


def _plugins_of_run(error: Exception) -> str:
    """The plug-ins of the run that an error ended, in words; "" where it has none."""
    from lfads_torch.outputs.run_folder import RunFolder

    if not isinstance(error, RecordedError):
        return ""
    try:
        names = list(RunFolder(error.path.parent).read_record().plugins)
    except LfadsError:
        return ""
    return f"plug-in{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def _traceback_path(error: Exception) -> Path:
    if isinstance(error, RecordedError):
        return error.path
    import tempfile
    import traceback

    descriptor, name = tempfile.mkstemp(prefix="lfads_traceback_", suffix=".txt", text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    return Path(name)


def _forget_stdout() -> None:
    """Whoever read our output has gone; Python would complain once more while it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
