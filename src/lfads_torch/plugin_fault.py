"""Whether an error came out of somebody's plug-in, and where in its file."""

from __future__ import annotations

import re
import sys
import traceback
from typing import cast

__all__ = ["failure_reason", "plugin_fault"]

_OURS = "lfads_torch"


def plugin_fault(error: BaseException) -> str | None:
    """The plug-in, file, line and error in words; None where no plug-in is at fault.

    A plug-in is a module outside this package that derives a class from one of ours. It is at
    fault where it is entered after the last function of ours, whatever library it called then,
    and where we could not call it because of its signature.
    """
    told = f"{type(error).__name__}: {_first_line(error)}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        if _is_ours(module):
            break
        if any(_is_plugin_class(value, module) for value in list(frame.f_globals.values())):
            code = frame.f_code
            where = f"{code.co_filename}, line {line}, in {code.co_qualname}"
            return f"the plug-in {module} ({where}) raised {told}"
    return _wrong_signature(error, told)


def failure_reason(error: BaseException) -> str:
    """Why a run failed, for its record: the error, and the plug-in that it came from."""
    return plugin_fault(error) or f"{type(error).__name__}: {_first_line(error)}"


def _wrong_signature(error: BaseException, told: str) -> str | None:
    """A call that Python refused: the message begins with the class, "Own.__call__() takes"."""
    found = re.match(r"(\w+)(\.\w+)*\(\) ", str(error)) if isinstance(error, TypeError) else None
    if found is None:
        return None
    for module, loaded in list(sys.modules.items()):
        names = getattr(loaded, "__dict__", {})
        if not _is_ours(module) and _is_plugin_class(names.get(found[1]), module):
            file = names.get("__file__") or "an unknown file"
            return f"the plug-in {module}:{found[1]} ({file}) has another signature ({told})"
    return None


def _is_plugin_class(value: object, module: str) -> bool:
    """Whether a module defines this by deriving from a class of ours.

    By `type`: `isinstance` would wake whatever lazy object a module holds.
    """
    return (
        issubclass(type(value), type)
        and getattr(value, "__module__", None) == module
        and any(_is_ours(base.__module__) for base in cast("type", value).__mro__[1:])
    )


def _is_ours(module: str) -> bool:
    return module == _OURS or module.startswith(f"{_OURS}.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no details"])[0].rstrip(".")
