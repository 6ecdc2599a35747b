"""Comparisons are paired on the same trials and units, and say so where they cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_runs import fitted, rich_recording

from lfads_torch.data.recording import Split
from lfads_torch.errors import DataError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.compare import compare_runs, comparison_rows, comparison_to_json
from lfads_torch.workflows.evaluate import Request, evaluate
from lfads_torch.workflows.scores.trials import Protocol

QUICK = ("training.epochs=1", "inference.n_samples=1", "model.n_inferred_inputs=0")
FEW = Protocol(n_bootstrap=60, n_masks=2)


def with_sets(test, held_out=(5,)):
    """The recording with these test trials and held-out units; six others validate."""
    recording = replace(rich_recording(), true_inputs=None, true_latents=None, true_rates=None)
    recording = replace(recording, behaviour={"hand": recording.behaviour["hand"]})
    trial_set = np.full(recording.n_trials, "train", dtype="<U6")
    trial_set[-6:] = "valid"
    trial_set[list(test)] = "test"
    is_encoded = ~np.isin(np.arange(recording.n_units), held_out)
    return recording.with_split(
        Split(trial_set=trial_set, is_encoded=is_encoded, n_encoded_bins=recording.n_bins)
    )


def quick(recording, folder, *overrides):
    return fitted(recording, folder, *QUICK, *overrides)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    first, other = with_sets(range(6)), with_sets(range(3, 9))
    more = "model.n_factors=2"
    made = {
        "two": quick(first, folder / "two", "run.n_seeds=2"),
        "fewer": quick(first, folder / "fewer", "run.n_seeds=2", more),
        "other_seed": quick(first, folder / "other_seed", "run.seed=7"),
        "other_split": quick(other, folder / "other_split"),
        "fewer_other_split": quick(other, folder / "fewer_other_split", more),
        "far_split": quick(with_sets(range(9, 15)), folder / "far_split", more),
        "other_units": quick(with_sets(range(6), (0,)), folder / "other_units", more),
    }
    other_data = replace(first, counts=first.counts[::-1].copy())
    made["other_data"] = quick(other_data, folder / "other_data")
    return made


def compared(runs, *names, **options):
    chosen = [runs[name] for name in names]
    return compare_runs(chosen, which_set="test", protocol=FEW, **options)


def test_members_are_seeds_and_differences_are_those_of_the_evaluations(runs):
    comparison = compared(runs, "two", "fewer")
    (pair,) = comparison.pairs
    assert (pair.first, pair.second) == ("two", "fewer")
    assert pair.differing_settings == {"model.n_factors": (3, 2)}
    each = {
        (name, member): evaluate(
            runs[name],
            Request(which_set="test", member=member, protocol=replace(FEW, n_bootstrap=0)),
        )
        for name in ("two", "fewer")
        for member in (0, 1)
    }
    names = {score.name for score in pair.scores}
    assert {"masked_bits_per_spike", "co_smoothing_bits_per_spike", "behaviour_hand_r2"} <= names
    assert not any("baseline" in n or "condition_mean" in n or "_kl" in n for n in names)
    for score in pair.scores:
        values = np.array(
            [[each[name, m].score(score.name).value for m in (0, 1)] for name in ("two", "fewer")]
        )
        np.testing.assert_allclose(score.differences, values[0] - values[1])
        assert score.difference == pytest.approx((values[0] - values[1]).mean())
        assert (score.first, score.second) == pytest.approx(tuple(values.mean(axis=1)))
        includes_0 = score.interval[0] <= 0 <= score.interval[1]
        assert (score.verdict == "tie") == includes_0
        assert (score.n_seeds, score.n_splits, score.is_replicated) == (2, 1, False)
    best = compared(runs, "two", "fewer", members="best").pairs[0]
    assert {score.n_seeds for score in best.scores} == {1}


def test_runs_of_one_model_are_compared_one_by_one_and_said_so(runs):
    comparison = compared(runs, "two", "other_seed", members="best")
    (pair,) = comparison.pairs
    assert "equal settings up to seeds" in comparison.notes[0]
    assert pair.differing_settings == {}
    assert any("seeds differ" in note for note in pair.notes)


def test_of_an_ensemble_single_models_are_compared_and_that_is_said(runs, tmp_path):
    copy = RunFolder(shutil.copytree(runs["two"].path, tmp_path / "averaged"))
    text = copy.settings_path.read_text()
    copy.settings_path.write_text(text.replace("ensemble: 1", "ensemble: 2"))
    assert copy.settings_path.read_text() != text
    comparison = compared(runs | {"averaged": copy}, "other_seed", "averaged", members="best")
    assert comparison.notes[0].startswith("single models are compared, also of averaged")
    assert "equal settings up to seeds" in comparison.notes[1]
    plain = compared(runs, "other_seed", "two", members="best").pairs[0].scores
    found = comparison.pairs[0].scores
    assert [score.difference for score in found] == [score.difference for score in plain]


def test_seeds_and_splits_are_grouped(runs):
    comparison = compared(runs, "two", "other_split", "fewer", "fewer_other_split")
    (pair,) = comparison.pairs
    assert (pair.first, pair.second) == ("two and 1 more", "fewer and 1 more")
    score = pair.scores[0]
    assert (score.n_splits, len(score.differences)) == (2, 3)
    assert score.split_spread is not None
    one, two, other = score.differences
    assert score.difference == pytest.approx(((one + two) / 2 + other) / 2)


def test_sets_that_differ_are_cut_to_their_common_trials(runs):
    (pair,) = compared(runs, "other_seed", "fewer_other_split").pairs
    assert "compared on the 3 trials that are in both" in pair.notes[0]
    assert {score.n_trials for score in pair.scores if "timing" not in score.name} == {3}


def test_what_cannot_be_paired_is_refused(runs):
    with pytest.raises(DataError, match="do not have the same held-out units"):
        compared(runs, "other_seed", "other_units")
    with pytest.raises(DataError, match="not trained on one recording"):
        compared(runs, "two", "other_data")
    with pytest.raises(DataError, match="at least two different ones"):
        compared(runs, "two", "two")
    with pytest.raises(DataError, match="no trial of the set in common"):
        compared(runs, "other_seed", "far_split")


def test_runs_of_two_recordings_can_meet_on_a_third(runs):
    fresh = replace(with_sets(range(6)), session="third")
    fresh = replace(fresh, counts=fresh.counts[:, ::-1].copy())
    comparison = compared(runs, "other_seed", "other_data", recording=fresh)
    (pair,) = comparison.pairs
    assert pair.scores
    assert not any(score.is_used_for_selection for score in pair.scores)


def test_a_set_without_trials_names_the_remedy(runs, tmp_path):
    run = quick(with_sets(()), tmp_path / "run")
    with pytest.raises(DataError, match=r"test set has no trials.*lfads split"):
        compared({**runs, "no_test": run}, "no_test", "two")


def test_rows_and_json(runs):
    comparison = compare_runs([runs["two"], runs["fewer"]], which_set="valid", protocol=FEW)
    content = json.loads(json.dumps(comparison_to_json(comparison), allow_nan=False))
    assert content["format"] == "lfads-torch comparison"
    assert content["groups"]["two"] == ["two, member 0", "two, member 1"]
    rows = comparison_rows(comparison)
    assert len(rows) == len(comparison.pairs[0].scores) == len(content["pairs"][0]["scores"])
    notes = {row["score"]: row["note"] for row in rows}
    assert "trials of 0.12 s" in notes.pop("psth r2 averaged")
    assert "trials of 0.12 s" in notes.pop("psth r2 single trial")
    assert set(notes.values()) == {"used for selection"}
    assert {row["pairs"] for row in rows} == {"2 seeds, 1 split"}
