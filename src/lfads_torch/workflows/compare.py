"""Compare: runs paired on the same trials and units, over seeds and splits.

A single pair says little: scores of one split move with the draw of its units by more than models
differ. The interval covers trials alone; seeds and splits are averaged and their spread is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lfads_torch.counted import counted
from lfads_torch.errors import DataError
from lfads_torch.workflows.pairing import Match, matched
from lfads_torch.workflows.replicates import Group, Members, Replicate, grouped, replicates_of
from lfads_torch.workflows.scores.record import LEVEL, Evaluation, Score
from lfads_torch.workflows.scores.trials import Protocol, random_numbers

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.intervals import PairedComparison, ScorePair
    from lfads_torch.data.recording import Recording
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import WhichSet

__all__ = [
    "ComparedPair",
    "ComparedScore",
    "Comparison",
    "compare_runs",
    "comparison_rows",
    "comparison_to_json",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ComparedScore:
    """First minus second, mean over seeds and splits, with its 95 % trial-bootstrap interval."""

    name: str
    unit: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    verdict: str  # "tie" where the interval includes 0, "first is higher", "second is higher"
    differences: tuple[float, ...]  # of each pair
    n_trials: int
    n_seeds: int
    n_splits: int
    seed_spread: float | None
    split_spread: float | None
    is_replicated: bool  # at least three seeds and three splits
    is_used_for_selection: bool
    caution: str = ""  # what must be read beside the figures


@dataclass(frozen=True, kw_only=True)
class ComparedPair:
    """Two groups of runs with equal settings up to seeds."""

    first: str
    second: str
    scores: tuple[ComparedScore, ...]
    differing_settings: Mapping[str, tuple[Any, Any]]  # name -> value of first and second
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every group against the first one."""

    set: str
    pairs: tuple[ComparedPair, ...]
    groups: Mapping[str, tuple[str, ...]]  # label -> "run, member M"
    notes: tuple[str, ...] = ()
    protocol: Protocol = field(default_factory=Protocol)


def compare_runs(
    runs: Sequence[RunFolder],
    *,
    which_set: WhichSet,
    recording: Recording | None = None,
    group_by: Literal["settings", "run"] = "settings",
    members: Members = "all",
    protocol: Protocol | None = None,
) -> Comparison:
    """Compare runs of one recording (or on a new one) on the trials of a set.

    Runs whose settings are equal up to seeds repeat one model; each further model is compared with
    the first, single models also where a run's rates are an ensemble's. `members`: every member of
    a run counts as a seed, or only its best one. Raises DataError where runs share no recording,
    units or trials.
    """
    protocol = protocol or Protocol()
    if len({run.path.resolve() for run in runs}) < 2:
        raise DataError(
            f"{counted(len(runs), 'run')} given; at least two different ones are needed."
        )
    if recording is None:
        _need_one_recording(runs)
    replicates = [
        one
        for run in runs
        for one in replicates_of(run, which_set=which_set, recording=recording, members=members)
    ]
    groups, notes = grouped(replicates, group_by=group_by), _ensemble_notes(runs)
    if len(groups) == 1:
        notes.append("all runs have equal settings up to seeds, so they are compared one by one")
        groups = grouped(replicates, group_by="run")
    scorer = _Scorer(which_set, recording, protocol)
    pairs = tuple(_compare(groups[0], other, scorer) for other in groups[1:])
    return Comparison(
        set=which_set,
        pairs=pairs,
        groups={
            group.label: tuple(
                f"{one.run.path.name}, member {one.member}" for one in group.replicates
            )
            for group in groups
        },
        notes=tuple(notes),
        protocol=protocol,
    )


def _ensemble_notes(runs: Sequence[RunFolder]) -> list[str]:
    from lfads_torch.workflows.stored import read_settings_of

    averaged = [run for run in runs if read_settings_of(run).inference.ensemble > 1]
    if not averaged:
        return []
    names = ", ".join(run.path.name for run in averaged)
    return [f"single models are compared, also of {names}, whose rates are an ensemble's"]


@dataclass(frozen=True)
class _Scorer:
    """Evaluates replicates, each trial set of each once."""

    which_set: WhichSet
    recording: Recording | None
    protocol: Protocol
    known: dict[Any, Evaluation] = field(default_factory=dict)  # keyed by replicate and trials

    def __call__(self, one: Replicate, trial_ids: tuple[Any, ...]) -> Evaluation:
        from lfads_torch.workflows.evaluate import Request, evaluate

        key = (one.run.path, one.member, trial_ids)
        if key not in self.known:
            self.known[key] = evaluate(
                one.run,
                Request(
                    which_set=self.which_set,
                    recording=self.recording,
                    member=one.member,
                    trial_ids=np.array(trial_ids),
                    protocol=replace(self.protocol, n_bootstrap=0),
                ),
            )
        return self.known[key]


def _need_one_recording(runs: Sequence[RunFolder]) -> None:
    prints = {run.path.name: run.read_record().data_fingerprint for run in runs}
    if len(set(prints.values())) > 1:
        listed = ", ".join(f"{name} {str(value)[:8]}" for name, value in prints.items())
        raise DataError(
            f"the runs were not trained on one recording (fingerprints: {listed})."
            f"{_read_differently(runs)} Compare runs of the same recording, read in one way, or "
            "give a recording to evaluate them all on (`recording` of compare_runs in Python)."
        )


def _read_differently(runs: Sequence[RunFolder]) -> str:
    """Which options of reading differ, where the file is the same."""
    records = {run.path.name: run.read_record() for run in runs}
    if len({record.data_path for record in records.values()}) > 1:
        return ""
    options = {name: record.read_options for name, record in records.items()}
    differing = [
        f"{field} " + ", ".join(f"{each.get(field)!r} in {name}" for name, each in options.items())
        for field in sorted({field for each in options.values() for field in each})
        if len({repr(each.get(field)) for each in options.values()}) > 1
    ]
    return f" The file is one, but was read in other ways: {'; '.join(differing)}." * bool(
        differing
    )


def _compare(first: Group, second: Group, scorer: _Scorer) -> ComparedPair:
    matches, notes = matched(first, second)
    evaluated = [
        (match, scorer(match.first, match.trial_ids), scorer(match.second, match.trial_ids))
        for match in matches
    ]
    scores = []
    for each in evaluated[0][1].scores:
        found = _compared(each.name, evaluated, scorer.protocol)
        if isinstance(found, ComparedScore):
            scores.append(found)
        elif found:
            notes.append(found)
    names = sorted(set(first.settings) | set(second.settings))
    return ComparedPair(
        first=first.label,
        second=second.label,
        scores=tuple(scores),
        differing_settings={
            name: (first.settings.get(name), second.settings.get(name))
            for name in names
            if first.settings.get(name) != second.settings.get(name)
        },
        notes=tuple(notes),
    )


def _compared(
    name: str, evaluated: list[tuple[Match, Evaluation, Evaluation]], protocol: Protocol
) -> ComparedScore | str:
    """The comparison of one score; empty where it does not apply, a reason where it fails."""
    from lfads_torch.analysis.metrics.intervals import ScorePair, compare_paired

    pairs: list[ScorePair] = []
    sides: list[tuple[Score, Score]] = []
    for match, one, other in evaluated:
        names = {score.name: score for score in other.scores}
        first, second = one.score(name), names.get(name)
        if first.trial_score is None or second is None or second.trial_score is None:
            return ""
        if not first.is_comparable or first.trial_ids is None or second.trial_ids is None:
            return ""
        if first.trial_ids.tolist() != second.trial_ids.tolist():
            return f"{name}: not of the same trials in both, left out"
        sides.append((first, second))
        pairs.append(
            ScorePair(
                split=match.split,
                seed=match.seed,
                trial_ids=first.trial_ids,
                first=first.trial_score,
                second=second.trial_score,
            )
        )
    try:
        found = compare_paired(
            pairs,
            random_numbers(protocol.seed),
            n_samples=max(protocol.n_bootstrap, 1),
            level=LEVEL,
        )
    except DataError as error:
        return f"{name}: {error}"
    return _as_score(sides, pairs, found)


def _as_score(
    sides: list[tuple[Score, Score]], pairs: list[ScorePair], found: PairedComparison
) -> ComparedScore:
    splits = [pair.split for pair in pairs]  # weighted as their differences are
    weights = [1 / splits.count(split) for split in splits]
    values = np.array([(pair.first.value, pair.second.value) for pair in pairs])
    first, second = np.average(values, axis=0, weights=weights)
    return ComparedScore(
        name=sides[0][0].name,
        unit=sides[0][0].unit,
        first=float(first),
        second=float(second),
        difference=found.difference.value,
        interval=(found.difference.low, found.difference.high),
        verdict=found.verdict,
        differences=tuple(found.differences.tolist()),
        n_trials=found.difference.n_trials,
        n_seeds=found.n_seeds,
        n_splits=found.n_splits,
        seed_spread=found.seed_spread,
        split_spread=found.split_spread,
        is_replicated=found.is_replicated,
        is_used_for_selection=any(score.is_used_for_selection for score, _ in sides),
        caution=_cautions(sides),
    )


def _cautions(sides: list[tuple[Score, Score]]) -> str:
    """One where all agree, as those of the same trials do."""
    return "; ".join(dict.fromkeys(each.caution for side in sides for each in side if each.caution))


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:  # JSON values
    """The comparison as JSON values."""
    from lfads_torch.outputs.json_text import plain

    heading = {"format": "lfads-torch comparison", "format_version": 1, "level": LEVEL}
    content: dict[str, Any] = {**heading, **plain(comparison)}
    return content


def comparison_rows(comparison: Comparison) -> list[dict[str, str]]:
    """A row of text per pair and score, in the order of the evaluation."""
    return [
        {
            "score": score.name.replace("_", " "),
            "first": f"{pair.first}: {score.first:.3f}",
            "second": f"{pair.second}: {score.second:.3f}",
            "difference": f"{score.difference:+.3f}",
            "interval": f"{score.interval[0]:+.3f} to {score.interval[1]:+.3f}",
            "verdict": score.verdict,
            "pairs": f"{counted(score.n_seeds, 'seed')}, {counted(score.n_splits, 'split')}",
            "set": comparison.set,
            "note": "; ".join(
                text
                for text in (
                    "used for selection" if score.is_used_for_selection else "",
                    score.caution,
                )
                if text
            ),
        }
        for pair in comparison.pairs
        for score in pair.scores
    ]
