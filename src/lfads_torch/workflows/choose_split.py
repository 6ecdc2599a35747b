"""Which split a recording gets: a file's, a fold, newly drawn sets, or its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lfads_torch.data.recording import Recording, Split
    from lfads_torch.data.settings import SplitSettings

__all__ = ["SplitChoice", "choices_of", "drawn_anew", "with_chosen_split"]


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """What was asked for; nothing: the recording's own split, or else one by the settings."""

    path: Path | None = None  # a split file
    paths: tuple[Path, ...] = ()  # or one for each recording
    n_folds: int | None = None
    fold: int | None = None  # from 0; its trials test
    asked: tuple[str, ...] = ()  # the options that ask for newly drawn sets


def choices_of(choice: SplitChoice, n_recordings: int) -> tuple[SplitChoice, ...]:
    """The choice for each of so many recordings. Raises SettingsError for too many or few files."""
    if not choice.paths:
        if choice.path is not None and n_recordings > 1:
            choice = replace(choice, paths=(choice.path,))
        else:
            return (choice,) * n_recordings
    if len(choice.paths) != n_recordings:
        raise SettingsError(
            f"paths (--split) gives {len(choice.paths)} files for {n_recordings} recordings; "
            "a split is of one recording: give one for each, in their order."
        )
    return tuple(replace(choice, path=path, paths=()) for path in choice.paths)


def with_chosen_split(
    recording: Recording,
    choice: SplitChoice,
    settings: SplitSettings,
    say: Callable[[str], None] = lambda text: None,
) -> Recording:
    """The recording with its split. Raises SettingsError where two ways are asked for."""
    from lfads_torch.data.split_file import read_split
    from lfads_torch.data.splitting import split_recording

    _need_one_way(choice)
    if choice.path is not None:
        return recording.with_split(read_split(choice.path, recording))
    if choice.n_folds is not None and choice.fold is not None:
        return _fold(recording, choice.n_folds, choice.fold, settings)
    if recording.split is not None and not choice.asked:
        return recording
    if recording.split is not None:
        ask = "asks" if len(choice.asked) == 1 else "ask"
        say(
            f"the file's own split is replaced, as {', '.join(choice.asked)} {ask} for: "
            f"{drawn_anew(recording.split)} (`lfads split` with ids, and --split, keep sets)"
        )
    bare = replace(recording, split=None)
    return bare.with_split(split_recording(bare, settings))


def drawn_anew(own: Split) -> str:
    """What is lost with the file's own split: its sets of trials."""
    sizes = [f"{len(own.trials(name))} {name}" for name in ("test", "valid")]
    return f"its sets ({' and '.join(sizes)} trials) are drawn anew"


def _fold(recording: Recording, n_folds: int, fold: int, settings: SplitSettings) -> Recording:
    from lfads_torch.data.splitting import folds

    every = folds(
        recording,
        n_folds,
        settings.seed,
        valid_fraction=settings.valid_fraction,
        held_out_fraction=settings.held_out_fraction,
        n_forward_bins=settings.n_forward_bins,
    )
    if not 0 <= fold < n_folds:
        raise SettingsError(
            f"fold (--fold) is {fold}; with n_folds (--folds) {n_folds}, 0 to {n_folds - 1} exist."
        )
    return recording.with_split(every[fold])


def _need_one_way(choice: SplitChoice) -> None:
    if (choice.n_folds is None) != (choice.fold is None):
        raise SettingsError(
            "n_folds (--folds K) and fold (--fold i) belong together: give both or none."
        )
    if choice.path is None:
        return
    others = [*choice.asked, *(["n_folds (--folds)"] if choice.n_folds is not None else [])]
    if others:
        raise SettingsError(
            f"path (--split) {choice.path} says which trials and units serve for what; "
            f"{', '.join(others)} would draw them anew. Keep one of them."
        )
