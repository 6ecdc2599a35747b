"""Several recordings given to the Python estimators: a mapping by session, or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError
from lfads_torch.workflows.estimator_input import recording_for_fit

if TYPE_CHECKING:
    from lfads_torch.outputs.run_folder import RunFolder

__all__ = [
    "by_session",
    "counts_of",
    "inputs_by_session",
    "recordings_for_fit",
    "session_folders",
]


def by_session(given: Any) -> dict[str, Any] | None:  # counts or Recordings
    """Counts by the name of their session; None where they are of one recording.

    In a list arrays [trial, bin, unit] are called session_0, session_1, ...; Recordings have names.
    """
    if isinstance(given, Mapping):
        return {str(name): counts for name, counts in given.items()}
    if not isinstance(given, list | tuple) or not given:
        return None
    if not all(isinstance(each, Recording) or np.ndim(each) == 3 for each in given):
        return None
    names = [
        each.session if isinstance(each, Recording) else f"session_{n}"
        for n, each in enumerate(given)
    ]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{names.count(name)} recordings of the list have the session name {name!r}. Give "
                "a mapping of names to recordings instead."
            )
    return dict(zip(names, given, strict=True))


def recordings_for_fit(
    given: Any,  # see `by_session`, or what `recording_for_fit` takes
    bin_width_s: float | None,
    beside: Mapping[str, Any],  # condition, external_inputs and split, of one or by session
) -> Recording | tuple[Recording, ...]:
    """The recording, or those of several sessions under their names."""
    named = by_session(given)
    if named is None:
        return recording_for_fit(given, bin_width_s, **beside)
    own = {
        key: _each(values, list(named), key) for key, values in beside.items() if values is not None
    }
    found = []
    for n, (name, counts) in enumerate(named.items()):
        mine = {key: values[n] for key, values in own.items()}
        found.append(replace(recording_for_fit(counts, bin_width_s, **mine), session=name))
    return tuple(found)


def session_folders(
    given: Any,  # see `by_session`
    folders: Mapping[str, RunFolder],
) -> dict[str, tuple[RunFolder, Any]]:
    """The folder and the counts of each session given; a list without names goes by order.

    Raises DataError where what is given is of no session of the run.
    """
    if isinstance(given, Recording) and given.session in folders:
        return {given.session: (folders[given.session], given)}
    named = by_session(given)
    if named is None:
        raise DataError(
            f"this model has the sessions {', '.join(folders)}: give a mapping of their names to "
            "counts, such as {'" + next(iter(folders)) + "': counts}, or a list of all in order."
        )
    if isinstance(given, list | tuple) and len(given) == len(folders):
        is_named = all(name in folders for name in named)
        named = named if is_named else dict(zip(folders, given, strict=True))
    unknown = [name for name in named if name not in folders]
    if unknown:
        raise DataError(f"there is no session {unknown[0]!r}; the model has {', '.join(folders)}.")
    return {name: (folders[name], counts) for name, counts in named.items()}


def inputs_by_session(
    given: Mapping[str, Any], names: Sequence[str]
) -> dict[str, dict[str, Any]]:  # arrays
    """For each session its own of what stands beside the counts, each a mapping or in order."""
    own = {what: _each(values, names, what) for what, values in given.items() if values is not None}
    return {name: {what: values[n] for what, values in own.items()} for n, name in enumerate(names)}


def counts_of(given: Any) -> Any:  # counts or a Recording
    """The counts themselves."""
    return given.counts if isinstance(given, Recording) else given


def _each(values: Any, names: Sequence[str], what: str) -> list[Any]:  # arrays, or a Split
    if isinstance(values, Mapping):
        return [values.get(name) for name in names]
    if isinstance(values, list | tuple) and len(values) == len(names):
        return list(values)
    raise DataError(
        f"{what} is of type {type(values).__name__}; for {len(names)} sessions a mapping of their "
        f"names ({', '.join(names)}) is needed, or a list with one entry for each."
    )
