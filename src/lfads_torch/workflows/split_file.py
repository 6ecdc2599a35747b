"""`lfads split`: a recording to one or more split files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import SettingsError
from lfads_torch.workflows.choose_split import drawn_anew

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording, Split
    from lfads_torch.data.settings import SplitSettings

__all__ = ["GivenIds", "SplitRequest", "split_to_files"]


@dataclass(frozen=True, kw_only=True)
class GivenIds:
    """Ids as text, as a person types them; all empty: sets are drawn."""

    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    held_out_units: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SplitRequest:
    """What to divide, and how."""

    source: Path
    settings: SplitSettings
    read_options: ReadOptions | None = None
    n_folds: int | None = None
    ids: GivenIds = field(default_factory=GivenIds)


def split_to_files(
    request: SplitRequest, target: Path, say: Callable[[str], None] = lambda text: None
) -> dict[Path, str]:
    """Write one file, or one per fold (`NAME_0.json`, ...); path -> sizes of its sets in words.

    `say` is told where sets that the recording has already are drawn anew.
    """
    from lfads_torch.data.formats.choose import read_recording
    from lfads_torch.data.split_file import write_split
    from lfads_torch.data.splitting import split_recording
    from lfads_torch.outputs.target_file import SPLIT, prepare_target

    has_ids = request.ids != GivenIds()
    if has_ids and (request.n_folds is not None or not request.ids.valid):
        raise SettingsError(
            "sets by ids need ids.valid (--valid-ids), and go without n_folds (--folds): name the "
            "validation trials, or leave the ids out."
        )
    first = target if request.n_folds is None else _of_fold(target, 0)
    prepare_target(first, SPLIT, inputs=[request.source])
    recording = read_recording(request.source, options=request.read_options)
    if recording.split is not None and not has_ids:
        say(f"the file has a split of its own and keeps it; here {drawn_anew(recording.split)}")
    if request.n_folds is not None:
        drawn = _folds(recording, request)
        splits = {_of_fold(target, fold): split for fold, split in enumerate(drawn)}
        for path in splits:
            prepare_target(path, SPLIT, inputs=[request.source])
    elif has_ids:
        splits = {target: _by_ids(recording, request)}
    else:
        splits = {target: split_recording(recording, request.settings)}
    for path, split in splits.items():
        write_split(path, split, recording)
    return {path: _in_words(split, recording) for path, split in splits.items()}


def _of_fold(target: Path, fold: int) -> Path:
    return target.with_name(f"{target.stem}_{fold}{target.suffix}")


def _folds(recording: Recording, request: SplitRequest) -> list[Split]:
    from lfads_torch.data.splitting import folds

    assert request.n_folds is not None  # the caller has looked
    return folds(
        recording,
        request.n_folds,
        request.settings.seed,
        valid_fraction=request.settings.valid_fraction,
        held_out_fraction=request.settings.held_out_fraction,
        n_forward_bins=request.settings.n_forward_bins,
    )


def _by_ids(recording: Recording, request: SplitRequest) -> Split:
    from lfads_torch.data.splitting import split_by_ids

    ids = request.ids
    return split_by_ids(
        recording,
        valid=_typed(ids.valid, recording.trial_ids, "trial"),
        test=_typed(ids.test, recording.trial_ids, "trial"),
        held_out_units=_typed(ids.held_out_units, recording.unit_ids, "unit"),
        n_forward_bins=request.settings.n_forward_bins,
    )


def _typed(texts: Sequence[str], known: NDArray[Any], kind: str) -> list[int | str]:
    """The ids in the type that the recording has: numbers where its ids are numbers."""
    if known.dtype.kind not in "iu":
        return list(texts)
    for text in texts:
        if not text.lstrip("-").isdecimal():
            raise SettingsError(
                f"{kind} id {text!r} is no whole number, and the recording's {kind} ids are: "
                f"{known[0]} to {known[-1]}. Separate ids by commas."
            )
    return [int(text) for text in texts]


def _in_words(split: Split, recording: Recording) -> str:
    names = ("train", "valid", "test", "unused")
    sizes = [f"{name} {len(split.trials(name))}" for name in names if len(split.trials(name))]
    n_held_out = int((~split.is_encoded).sum())
    n_forward = recording.n_bins - split.n_encoded_bins
    held_out = [f"{n_held_out} units held out"] if n_held_out else []
    forward = [f"{n_forward} forward bins"] if n_forward else []
    return ", ".join([*sizes, *held_out, *forward])
