"""Which trials train, validate and test; which units and bins the encoder never sees.

Three disjoint sets: train (gradients, means, regressions), validation (best epoch, search), test
(reported figures only). Where trials are few, folds: every trial is a test trial once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.blocks import BlockShares, blocks_of_session
from lfads_torch.data.drawing_trials import (
    condition_labels,
    draw_trials,
    every_kth_trial,
    set_sizes,
)
from lfads_torch.data.held_out_units import choose_held_out_units
from lfads_torch.data.ids import positions_of_ids
from lfads_torch.data.recording import TEST, TRAIN, UNUSED, VALID, Recording, Split
from lfads_torch.data.settings import SplitSettings
from lfads_torch.errors import DataError, SettingsError

__all__ = ["folds", "split_by_ids", "split_recording"]


def split_recording(recording: Recording, settings: SplitSettings) -> Split:
    """Divide trials, units and bins as the settings say; the same seed gives the same split.

    Sets have `round(fraction * trials)` trials, at least one of each that is asked for.
    `stratified` keeps the fractions within each condition as nearly as whole trials allow and
    leaves every condition a training trial: a condition with one trial trains. Trials and units
    are drawn from streams of their own, so that holding out units does not move trials. Trials
    chopped from a continuous session are divided in blocks unless another way is asked for.
    """
    if settings.method == "blocks" or (
        settings.method == "stratified" and recording.chops is not None
    ):
        return _split_in_blocks(recording, settings)
    n_valid, n_test = set_sizes(recording.n_trials, settings.valid_fraction, settings.test_fraction)
    trials_rng, units_rng = _streams(settings.seed)
    notes: list[str] = []
    if settings.method == "every_kth":
        trial_set = every_kth_trial(
            recording.n_trials, settings.valid_fraction, settings.test_fraction
        )
    else:
        condition = recording.condition if settings.method == "stratified" else None
        if settings.method == "stratified" and condition is None:
            notes.append("the recording has no conditions: trials were drawn at random")
        trial_set = draw_trials(
            condition_labels(condition, recording.n_trials), n_valid, n_test, trials_rng
        )
        notes += _notes_on_conditions(condition, trial_set, n_valid, n_test)
    for name, n_wanted in ((TRAIN, 1), (VALID, n_valid), (TEST, n_test)):
        if n_wanted and not (trial_set == name).any():
            raise DataError(
                f"the {name} set is empty: of {recording.n_trials} trials none is left for it, "
                "since "
                'every condition keeps a trial to train. Use split.method = "random", other '
                "fractions, or give conditions of at least two trials."
            )
    is_encoded, unit_notes = choose_held_out_units(recording, settings.held_out_fraction, units_rng)
    return Split(
        trial_set=trial_set,
        is_encoded=is_encoded,
        n_encoded_bins=_n_encoded_bins(recording, settings.n_forward_bins),
        provenance={**asdict(settings), "notes": notes + unit_notes},
    )


def _split_in_blocks(recording: Recording, settings: SplitSettings) -> Split:
    trials_rng, units_rng = _streams(settings.seed)
    shares = BlockShares(
        valid_fraction=settings.valid_fraction,
        test_fraction=settings.test_fraction,
        n_blocks=settings.n_blocks,
        gap_bins=settings.gap_bins,
    )
    trial_set = blocks_of_session(recording, shares, trials_rng)
    for name in (TRAIN, VALID, *([TEST] if settings.test_fraction else [])):
        if not (trial_set == name).any():
            raise DataError(
                f"the {name} set is empty: no trial lies wholly in its blocks and far enough from "
                f"those of the others ({recording.n_trials} trials). Lower split.n_blocks or "
                "split.gap_bins, raise the fraction, or cut shorter trials."
            )
    n_unused = int((trial_set == UNUSED).sum())
    is_encoded, notes = choose_held_out_units(recording, settings.held_out_fraction, units_rng)
    between = f"{n_unused} of {recording.n_trials} trials lie between the sets and are unused"
    return Split(
        trial_set=trial_set,
        is_encoded=is_encoded,
        n_encoded_bins=_n_encoded_bins(recording, settings.n_forward_bins),
        provenance={**asdict(settings), "method": "blocks", "notes": [between, *notes]},
    )


def folds(
    recording: Recording,
    n_folds: int,
    seed: int,
    *,
    valid_fraction: float = 0.2,
    held_out_fraction: float = 0.0,
    n_forward_bins: int = 0,
) -> list[Split]:
    """One split per fold: its trials test, `valid_fraction` of the others validate, the rest train.

    Every trial is a test trial exactly once, and never selects the model that is tested on it.
    Conditions are spread evenly over folds. Held-out units are the same in all folds.
    """
    n_trials = recording.n_trials
    if recording.chops is not None:
        raise SettingsError(
            "trials chopped from a continuous session share bins, so folds drawn by trial would "
            'leak. Use split.method = "blocks" with several values of split.seed instead.'
        )
    if not 2 <= n_folds <= n_trials:
        raise SettingsError(
            f"{n_folds} folds of {n_trials} trials: 2 to {n_trials} folds are possible."
        )
    trials_rng, units_rng = _streams(seed)
    labels = condition_labels(recording.condition, n_trials)
    # Trials shuffled, then ordered by condition, are dealt out to the folds like cards.
    shuffled = trials_rng.permutation(n_trials)
    dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold_of_trial = np.empty(n_trials, dtype=np.int64)
    fold_of_trial[dealt] = np.arange(n_trials) % n_folds
    is_encoded, notes = choose_held_out_units(recording, held_out_fraction, units_rng)
    splits = []
    for fold in range(n_folds):
        others = np.flatnonzero(fold_of_trial != fold)
        n_valid, _ = set_sizes(len(others), valid_fraction, 0.0)
        trial_set = np.full(n_trials, TEST, dtype="<U6")
        trial_set[others] = draw_trials(
            labels[others], n_valid, 0, trials_rng, keeps_conditions=False
        )
        provenance = {
            "method": "folds", "n_folds": n_folds, "fold": fold, "seed": seed,
            "valid_fraction": valid_fraction, "held_out_fraction": held_out_fraction,
            "n_forward_bins": n_forward_bins, "notes": notes,
        }  # fmt: skip
        splits.append(
            Split(
                trial_set=trial_set,
                is_encoded=is_encoded,
                n_encoded_bins=_n_encoded_bins(recording, n_forward_bins),
                provenance=provenance,
            )
        )
    return splits


def split_by_ids(
    recording: Recording,
    *,
    valid: Iterable[Any],
    test: Iterable[Any] = (),
    train: Iterable[Any] | None = None,
    held_out_units: Iterable[Any] = (),
    n_forward_bins: int = 0,
) -> Split:
    """The split that these ids (integers or text, as in the recording) name.

    Without `train` all trials not named train; with it, trials in no set are `unused`.
    """
    named = {VALID: list(valid), TEST: list(test), TRAIN: list(train) if train is not None else []}
    trial_set = np.full(recording.n_trials, TRAIN if train is None else UNUSED, dtype="<U6")
    taken: dict[int, str] = {}
    for name, ids in named.items():
        for position in positions_of_ids(recording.trial_ids, ids, f"{name} trials"):
            if taken.setdefault(position, name) != name:
                raise DataError(
                    f"trial {recording.trial_ids[position]} is both in the {taken[position]} and "
                    f"the {name} set; sets must be disjoint. Take it out of one of them."
                )
            trial_set[position] = name
    for name in (TRAIN, VALID):
        if not (trial_set == name).any():
            raise DataError(f"the {name} set is empty; at least one trial is needed in it.")
    is_encoded = np.ones(recording.n_units, dtype=bool)
    is_encoded[positions_of_ids(recording.unit_ids, list(held_out_units), "held-out units")] = False
    if not is_encoded.any():
        raise DataError(
            f"all {recording.n_units} units are held out; the encoder needs at least one to see."
        )
    return Split(
        trial_set=trial_set,
        is_encoded=is_encoded,
        n_encoded_bins=_n_encoded_bins(recording, n_forward_bins),
        provenance={"method": "ids"},
    )


def _streams(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    bits = np.random.Philox(seed)
    return np.random.Generator(bits), np.random.Generator(bits.jumped())


def _notes_on_conditions(
    condition: NDArray[Any] | None, trial_set: NDArray[np.str_], n_valid: int, n_test: int
) -> list[str]:
    if condition is None:
        return []
    notes = []
    values, sizes = np.unique(condition, return_counts=True)
    single = [str(value) for value in values[sizes == 1][:10]]
    if single:
        notes.append(
            f"{int((sizes == 1).sum())} conditions have a single trial, which trains: "
            f"{', '.join(single)}"
        )
    for name, wanted in ((VALID, n_valid), (TEST, n_test)):
        found = int((trial_set == name).sum())
        if found < wanted:
            notes.append(
                f"the {name} set has {counted(found, 'trial')}, not {wanted}: every condition "
                "keeps one to train"
            )
    return notes


def _n_encoded_bins(recording: Recording, n_forward_bins: int) -> int:
    if not 0 <= n_forward_bins < recording.n_bins:
        raise SettingsError(
            f"split.n_forward_bins is {n_forward_bins}; the trials have {recording.n_bins} bins, "
            f"so 0 to {recording.n_bins - 1} is possible: the encoder must see at least one."
        )
    return recording.n_bins - n_forward_bins
