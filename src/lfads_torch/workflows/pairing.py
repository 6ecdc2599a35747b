"""Which trained models are set side by side: on the same split, trials, units and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lfads_torch.errors import DataError
from lfads_torch.workflows.replicates import Group, Replicate

__all__ = ["Match", "matched"]

Split = tuple[Any, tuple[Any, ...]]  # units, and trial ids in the recording's order


@dataclass(frozen=True)
class Match:
    """Two replicates to be compared on these trials."""

    split: int
    seed: str
    trial_ids: tuple[Any, ...]
    first: Replicate
    second: Replicate


def matched(first: Group, second: Group) -> tuple[list[Match], list[str]]:
    """Replicates of one split side by side, by seed where seeds agree."""
    one, other = _by_split(first), _by_split(second)
    shared = [split for split in one if split in other]
    notes: list[str] = []
    if shared:
        for split in (*one, *other):
            if split not in shared:
                notes.append("a split that only one of them has was left out")
        sides = [(split[1], one[split], other[split]) for split in shared]
    else:
        sides = [_common_trials(one, other, first.label, second.label)]
        notes.append(
            f"their sets differ: compared on the {len(sides[0][0])} trials that are in both; their "
            "training trials differ too"
        )
    matches = []
    for number, (trial_ids, left, right) in enumerate(sides):
        pairs, seeds_note = _by_seed(left, right)
        notes += [seeds_note] if seeds_note else []
        matches += [Match(number, a.seed, trial_ids, a, b) for a, b in pairs]
    return matches, list(dict.fromkeys(notes))


def _by_split(group: Group) -> dict[Split, list[Replicate]]:
    found: dict[Split, list[Replicate]] = {}
    for one in group.replicates:
        found.setdefault((one.units, one.trial_ids), []).append(one)
    return found


def _common_trials(
    one: dict[Split, list[Replicate]],
    other: dict[Split, list[Replicate]],
    first: str,
    second: str,
) -> tuple[tuple[Any, ...], list[Replicate], list[Replicate]]:
    (units, trial_ids), (units_2, trial_ids_2) = next(iter(one)), next(iter(other))
    if len(one) > 1 or len(other) > 1:
        raise DataError(
            f"{first} and {second} have several splits and share none. Fit both on the same "
            "splits: `lfads split` writes one to a file that every fit can use."
        )
    if units != units_2:
        raise DataError(
            f"{first} and {second} do not have the same held-out units, encoded bins or generated "
            "bins, so their scores are about different entries. Fit both with one split "
            "(`lfads split`) and one model.ic_bins."
        )
    there = set(trial_ids_2)
    common = tuple(trial for trial in trial_ids if trial in there)
    if not common:
        raise DataError(
            f"{first} and {second} have no trial of the set in common. Fit both with one split: "
            "`lfads split` writes one to a file."
        )
    return common, next(iter(one.values())), next(iter(other.values()))


def _by_seed(
    left: list[Replicate], right: list[Replicate]
) -> tuple[list[tuple[Replicate, Replicate]], str]:
    """Pairs of equal seeds; where seeds do not agree, pairs in the order given, and a note.

    Of models that repeat a seed only one counts.
    """
    first, second = ({one.seed: one for one in side} for side in (left, right))
    shared = [seed for seed in first if seed in second]
    n_pairs = min(len(first), len(second))
    if len(shared) == n_pairs:
        pairs, note = [(first[seed], second[seed]) for seed in shared], ""
        if max(len(left), len(right)) > n_pairs:
            note = f"compared on the {n_pairs} seeds that are in both"
    else:
        pairs = list(zip(first.values(), second.values(), strict=False))
        note = f"their seeds differ: {n_pairs} pairs in the order given"
    return pairs, note
