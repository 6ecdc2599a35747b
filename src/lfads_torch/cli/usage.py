"""Wrong usage in one sentence of ours: what was found, what is needed, what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    ConsumeMultipleError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

__all__ = ["usage_message"]

_KINDS: dict[object, str] = {int: "a whole number", float: "a number"}


def usage_message(error: CycloptsError, tokens: Sequence[str], commands: Iterable[str]) -> str:
    """The message for one mistake in `tokens`, ending with where to read on."""
    command = " ".join(["lfads", *(error.command_chain or ())])
    if isinstance(error, UnknownCommandError):
        return _unknown_command((error.unused_tokens or [""])[0], list(commands))
    return f"{command}: {_mistake(error, tokens)} See {command} --help."


def _mistake(error: CycloptsError, tokens: Sequence[str]) -> str:
    if isinstance(error, UnknownOptionError):
        return _unknown_option(error)
    if isinstance(error, ConsumeMultipleError | MissingArgumentError):
        return _missing(error)
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword} is given twice; keep one."
    if isinstance(error, CoercionError) and error.token is not None:
        return _wrong_value(error)
    if isinstance(error, UnusedCliTokensError):
        extra = ", ".join(repr(each) for each in error.unused_tokens or ())
        return f"{extra} is more than this command takes."
    error.verbose = False
    return " ".join(str(error).split())


def _unknown_command(found: str, commands: list[str]) -> str:
    near = difflib.get_close_matches(found, commands, n=1)
    meant = f"; did you mean {near[0]}?" if near else "."
    return f"there is no command {found!r}{meant} Commands: {', '.join(commands)}."


def _unknown_option(error: UnknownOptionError) -> str:
    found = (error.token.keyword or error.token.value).partition("=")[0]
    known = [name for each in error.argument_collection if each.parse for name in each.names]
    options = [name for name in known if name.startswith("-")]
    # Stricter than difflib's 0.6, at which --lr is like --fold: it may be meant as a setting.
    near = difflib.get_close_matches(found, options, n=1, cutoff=0.7)
    if near:
        return f"there is no option {found}; did you mean {near[0]}?"
    setting = _setting_like(found) if "--set" in known else None
    if setting is not None:
        return f"there is no option {found}; did you mean --set {setting}=...?"
    return f"there is no option {found}."


def _setting_like(option: str) -> str | None:
    from lfads_torch.config.declarations import declarations
    from lfads_torch.config.nearest import nearest_setting

    return nearest_setting(option.lstrip("-").replace("-", "_"), declarations())


def _missing(error: MissingArgumentError) -> str:
    argument = error.argument
    name = "an argument" if argument is None else argument.name
    if not name.startswith("-"):
        return f"{name.upper()} is missing."
    is_given = bool(error.keyword) or any(
        each.keyword for each in (argument.tokens if argument else ())
    )
    if not is_given and argument is not None:
        return f"{name} is missing."
    count = 1 if argument is None else argument.token_count()[0]
    needed = "a value" if count == 1 else f"{count} values"
    return f"{error.keyword or name} needs {needed}."


def _words(kind: object) -> list[str]:
    """The words that a Literal allows."""
    return [str(word) for word in get_args(kind)] if get_origin(kind) is Literal else []


def _wrong_value(error: CoercionError) -> str:
    token = error.token
    assert token is not None  # the caller has looked
    name = token.keyword or (error.argument.name.upper() if error.argument else "an argument")
    kinds = get_args(error.target_type)  # of a union; of Literal its words
    words = _words(error.target_type) or [word for kind in kinds for word in _words(kind)]
    if words:
        near = difflib.get_close_matches(token.value, words, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        number = "a number, or " if float in kinds else ""
        return f"{name} is {token.value!r}; {number}one of {', '.join(words)} is needed{meant}"
    if error.msg is not None:
        return f"{name} is {token.value!r}; {error.msg}"
    needed = _KINDS.get(error.target_type, "another value")
    return f"{name} is {token.value!r}; {needed} is needed."
