"""Splits as files of their own, so that every tool can use the same one (docs/formats.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import write_text
from lfads_torch.data.ids import positions_of_ids
from lfads_torch.data.recording import TEST, TRAIN, UNUSED, VALID, Recording, Split
from lfads_torch.errors import DataError, FormatError

__all__ = ["read_split", "split_as_document", "split_from_document", "write_split"]

FORMAT, VERSION = "lfads-torch split", 1
SETS = (TRAIN, VALID, TEST, UNUSED)


def write_split(path: Path, split: Split, recording: Recording) -> None:
    """Write a split of this recording as JSON with the recording's ids, whole or not at all."""
    document = split_as_document(split, recording)
    # Provenance from Python code may hold numpy's numbers, which JSON does not know.
    text = json.dumps(document, indent=1, ensure_ascii=False, default=np.generic.item)
    write_text(path, text + "\n")


def read_split(path: Path, recording: Recording) -> Split:
    """The split in a file, applied to this recording by ids.

    Also reads a file with only `validation_trials` and `held_out_units`, positions from 0.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(
            f"{path}: could not be read ({error.strerror or error}). A split file is needed; "
            "`lfads split` writes one."
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deeply
        raise FormatError(
            f"{path}: is not JSON ({error}). A split file is needed; `lfads split` writes one."
        ) from error
    return split_from_document(document, recording, source=str(path))


def split_as_document(split: Split, recording: Recording) -> dict[str, Any]:  # JSON values
    """The split of this recording as JSON values, in the schema of docs/formats.md."""
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "trials": {name: recording.trial_ids[split.trial_set == name].tolist() for name in SETS},
        "held_out_units": recording.unit_ids[~split.is_encoded].tolist(),
        "n_encoded_bins": int(split.n_encoded_bins),
        "provenance": dict(split.provenance),
    }


def split_from_document(document: Any, recording: Recording, *, source: str) -> Split:
    """The split that a JSON document (any value: it comes from a user) describes."""
    if not isinstance(document, dict):
        raise FormatError(f"{source}: holds {type(document).__name__}; a JSON object is needed.")
    if "format" not in document and "validation_trials" in document:
        return _from_positions(document, recording, source)
    if document.get("format") != FORMAT:
        raise FormatError(
            f'{source}: "format" is {document.get("format")!r}; {FORMAT!r} is needed, or an object '
            'with "validation_trials" and "held_out_units" (positions from 0).'
        )
    version = document.get("format_version")
    if not isinstance(version, int) or version > VERSION:
        raise FormatError(
            f'{source}: "format_version" is {version!r}; this version of lfads-torch knows up to '
            f"{VERSION}. "
            "Update lfads-torch."
        )
    return _from_ids(document, recording, source)


def _from_ids(document: dict[str, Any], recording: Recording, source: str) -> Split:
    trials = document.get("trials")
    if not isinstance(trials, dict) or not set(trials) <= set(SETS):
        raise FormatError(
            f'{source}: "trials" must be an object with lists of trial ids under {", ".join(SETS)}.'
        )
    trial_set = np.full(recording.n_trials, "", dtype="<U6")
    for name in SETS:
        ids = _list(trials.get(name, []), f'{source}: "trials"."{name}"')
        positions = positions_of_ids(recording.trial_ids, ids, f"{source}: {name} trials")
        _need_disjoint(trial_set, positions, name, recording, source)
        trial_set[positions] = name
    if (trial_set == "").any():
        missing = recording.trial_ids[trial_set == ""]
        raise DataError(
            f"{source}: {len(missing)} trials of the recording are in no set, e.g. {missing[0]!r}. "
            "The split was "
            'made for another recording, or trials were added: name them, under "unused" if they '
            "serve for none."
        )
    held_out = _list(document.get("held_out_units", []), f'{source}: "held_out_units"')
    provenance = document.get("provenance")
    return _complete(
        recording,
        trial_set,
        positions_of_ids(recording.unit_ids, held_out, f"{source}: held-out units"),
        n_encoded_bins=document.get("n_encoded_bins", recording.n_bins),
        provenance={**(provenance if isinstance(provenance, dict) else {}), "source": source},
    )


def _from_positions(document: dict[str, Any], recording: Recording, source: str) -> Split:
    """A peer's file: validation trials and held-out units by position, all other trials train."""
    positions = {}
    for key, size in (
        ("validation_trials", recording.n_trials),
        ("held_out_units", recording.n_units),
    ):
        values = _list(document.get(key, []), f'{source}: "{key}"')
        positions[key] = positions_of_ids(
            np.arange(size), values, f'{source}: "{key}" (positions from 0)'
        )
    trial_set = np.full(recording.n_trials, TRAIN, dtype="<U6")
    trial_set[positions["validation_trials"]] = VALID
    return _complete(
        recording,
        trial_set,
        positions["held_out_units"],
        n_encoded_bins=recording.n_bins,
        provenance={"method": "positions", "source": source},
    )


def _complete(
    recording: Recording,
    trial_set: NDArray[np.str_],
    held_out: list[int],
    *,
    n_encoded_bins: Any,  # from a user's file
    provenance: dict[str, Any],  # JSON values
) -> Split:
    source = provenance["source"]
    # Only a refit trains on all trials; whoever else lacks validation trials has made a mistake.
    for name in (TRAIN,) if "refit_of" in provenance else (TRAIN, VALID):
        if not (trial_set == name).any():
            raise DataError(
                f"{source}: the {name} set is empty; at least one trial is needed in it."
            )
    is_encoded = np.ones(recording.n_units, dtype=bool)
    is_encoded[held_out] = False
    if not is_encoded.any():
        raise DataError(
            f"{source}: all {recording.n_units} units are held out; the encoder needs at least one "
            "to see."
        )
    is_number = isinstance(n_encoded_bins, int) and not isinstance(n_encoded_bins, bool)
    if not is_number or not 1 <= n_encoded_bins <= recording.n_bins:
        raise DataError(
            f'{source}: "n_encoded_bins" is {n_encoded_bins!r}; the recording has '
            f"{recording.n_bins} bins, so "
            f"1 to {recording.n_bins} is needed."
        )
    return Split(
        trial_set=trial_set,
        is_encoded=is_encoded,
        n_encoded_bins=n_encoded_bins,
        provenance=provenance,
    )


def _list(values: Any, where: str) -> list[Any]:  # integers or text
    kinds = (int, str)
    if not isinstance(values, list) or not all(
        isinstance(value, kinds) and not isinstance(value, bool) for value in values
    ):
        raise FormatError(f"{where} must be a list of ids, integers or text.")
    return values


def _need_disjoint(
    trial_set: NDArray[np.str_],
    positions: list[int],
    name: str,
    recording: Recording,
    source: str,
) -> None:
    for position in positions:
        if trial_set[position]:
            raise DataError(
                f"{source}: trial {recording.trial_ids[position]!r} is both in the "
                f"{trial_set[position]} and the {name} set; sets must be disjoint. Take it out of "
                "one of them."
            )
