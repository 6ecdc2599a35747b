"""Scores of sessions that were left out: of the added model, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    from lfads_torch.outputs.left_out_file import LeftOut
    from lfads_torch.workflows.evaluate import Evaluation, Score
    from lfads_torch.workflows.sessions.leave_out import LeaveOutRequest

__all__ = ["CO_SMOOTHING", "evaluate_left_out", "pooled", "score_rows"]

CO_SMOOTHING = "co_smoothing_bits_per_spike"
_SEED, _N_SAMPLES = 0, 1000
Row = dict[str, Any]  # JSON values


def evaluate_left_out(request: LeaveOutRequest, each: LeftOut) -> dict[str, Evaluation]:
    """Of the session's own trials, test or else validation: by `added`, `alone`, `together`.

    Scores of the added and the single model are also written into their run folders.
    """
    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.evaluate import evaluate_run, to_json
    from lfads_torch.workflows.finish import reported_set
    from lfads_torch.workflows.sessions.choose import run_of_session

    named = {recording.session: recording for recording in request.recordings}
    recording = named[each.session]
    runs = {
        kind: RunFolder.open(request.folder / each.runs[kind])
        for kind in ("added", "alone")
        if kind in each.runs
    }
    found = {}
    for kind, run in runs.items():
        found[kind] = evaluate_run(run, which_set=reported_set(run), recording=recording)
        run.write_scores(to_json(found[kind]))
    if request.run is not None:
        own = run_of_session(request.run, each.session)
        found["together"] = evaluate_run(own, which_set=reported_set(own), recording=recording)
    return found


def score_rows(found: Mapping[str, Evaluation]) -> tuple[Row, ...]:
    """A row for every score that the added session has."""
    return _rows({kind: list(each.scores) for kind, each in found.items()})


def pooled(found: Sequence[Mapping[str, Evaluation]]) -> tuple[Row, ...]:
    """The same of all sessions: bits per spike as sums, others as means weighed by trials."""
    from lfads_torch.workflows.sessions.scores import pooled_scores

    return _rows(
        {
            kind: pooled_scores([each[kind] for each in found], seed=_SEED, n_samples=_N_SAMPLES)
            for kind in found[0]
        }
    )


def _rows(scores: Mapping[str, Sequence[Score]]) -> tuple[Row, ...]:
    others = {
        kind: {each.name: each for each in listed}
        for kind, listed in scores.items()
        if kind != "added"
    }
    rows = []
    for own in scores["added"]:
        if own.value is None or own.trial_score is None or not own.is_comparable:
            continue
        compared = {
            kind: _compared(own, named[own.name]) for kind, named in others.items()
            if own.name in named and named[own.name].trial_score is not None
        }  # fmt: skip
        rows.append(
            {"name": own.name, **_told(own), "added": own.value, **_limits(own), **compared}
        )
    return tuple(rows)


def _told(own: Score) -> Row:
    return {
        "unit": own.unit,
        "set": own.set,
        "n_trials": own.n_trials,
        "used_for_selection": own.is_used_for_selection,
    }


def _limits(score: Score) -> Row:
    low, high = score.interval or (None, None)
    return {"low": low, "high": high}


def _are_of_the_same_trials(own: Score, other: Score) -> bool:
    ids, theirs = own.trial_ids, other.trial_ids
    if ids is None or theirs is None:
        return own.n_trials == other.n_trials
    return bool(ids.tolist() == theirs.tolist())


def _compared(own: Score, other: Score) -> Row:
    """The other model's value, and the added one's less that, paired on the same trials."""
    from lfads_torch.analysis.metrics.intervals import PairedDifference, trial_bootstrap
    from lfads_torch.workflows.scores.trials import random_numbers

    assert own.trial_score is not None  # callers have looked
    assert other.trial_score is not None
    if not _are_of_the_same_trials(own, other):
        raise DataError(
            f"{own.name}: the added session's is of other trials than that it is compared with, so "
            "that they cannot be paired. The splits were changed since training: restore the "
            "runs' split.json, or leave the sessions out anew with --overwrite."
        )
    pair = PairedDifference(first=own.trial_score, second=other.trial_score)
    interval = trial_bootstrap(pair, random_numbers(_SEED), n_samples=_N_SAMPLES)
    return {
        "value": other.value,
        "difference": interval.value,
        "low": interval.low,
        "high": interval.high,
    }
