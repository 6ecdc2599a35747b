"""A new file may lack the labels and behaviour that the run's own was read with.

No model needs them. What reaches the model, counts and inputs, is never left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["lacking_note", "without_lacking"]


def without_lacking(source: Path, before: ReadOptions, asked: ReadOptions | None) -> ReadOptions:
    """The run's options without the names of behaviour and condition that `source` lacks.

    Names that `asked` says now stay, for they must be in the file.
    """
    lacking = set(_lacking(source, before, asked))
    if not lacking:
        return before
    return replace(
        before,
        behaviour=tuple(name for name in before.behaviour if name not in lacking),
        condition=None if before.condition in lacking else before.condition,
    )


def lacking_note(run: RunFolder, source: Path, asked: ReadOptions | None) -> str | None:
    """What to say of a file that is read without some of them; None where all are there."""
    from lfads_torch.workflows.sessions.folder import session_runs
    from lfads_torch.workflows.stored import read_options_of

    lacking = _lacking(source, read_options_of(session_runs(run)[0]), asked)
    if not lacking:
        return None
    return (
        f"{source}: has no {', '.join(map(repr, lacking))}, with which the run's recording was "
        "read as behaviour or condition; it is read as a file for which they are not named"
    )


def _lacking(source: Path, before: ReadOptions, asked: ReadOptions | None) -> list[str]:
    from lfads_torch.data.formats.choose import reader_name
    from lfads_torch.data.formats.containers import open_stored

    given = {} if asked is None else {"behaviour": asked.behaviour, "condition": asked.condition}
    names = () if given.get("behaviour") else before.behaviour
    if before.condition is not None and not given.get("condition"):
        names = (*names, before.condition)
    reader = before.reader if asked is None or asked.reader is None else asked.reader
    if not names or reader is not None or reader_name(source) not in {"arrays", "matlab"}:
        return []
    with open_stored(source) as stored:
        return [name for name in names if name not in stored.arrays]
