"""Scores of an ensemble: what was averaged, the gain over its best member, stored rates."""

from __future__ import annotations

import pytest
from chosen_ensembles import with_choice
from tiny_runs import fitted, rich_recording

from lfads_torch.errors import DataError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.evaluate import Request, evaluate, evaluate_run, to_json
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.scores.trials import Protocol
from lfads_torch.workflows.stored import read_recording_of


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> RunFolder:
    folder = tmp_path_factory.mktemp("scored")
    run = fitted(
        rich_recording(), folder / "fitted", "run.n_seeds=2", "inference.ensemble=2",
        "split.held_out_fraction=0.2", "training.epochs=8",
    )  # fmt: skip
    return with_choice(run, folder / "run", slice(None))


@pytest.fixture(scope="module")
def evaluations(scored):
    both = evaluate_run(scored, which_set="valid", protocol=Protocol(n_bootstrap=200, n_masks=3))
    best = evaluate_run(
        scored, which_set="valid", ensemble=1, protocol=Protocol(n_bootstrap=200, n_masks=3)
    )
    return both, best


def test_an_evaluation_says_what_was_averaged(evaluations):
    both, best = evaluations
    assert len(both.ensemble_members) == 2
    assert best.ensemble_members == ()
    assert to_json(both)["ensemble_members"] == list(both.ensemble_members)
    assert any("rates are averaged over members" in note for note in both.notes)
    assert not any("averaged" in note for note in best.notes)
    assert both.member == best.member


@pytest.mark.parametrize(
    "name",
    ["masked_bits_per_spike", "co_smoothing_bits_per_spike", "encoded_bits_per_spike",
     "true_rates_r2"],
)  # fmt: skip
def test_the_gain_is_the_difference_on_the_same_trials(evaluations, name):
    both, best = evaluations
    gain = both.score(f"ensemble_gain_{name}")
    difference = both.score(name).value - best.score(name).value
    assert gain.value == pytest.approx(difference, abs=1e-9)
    assert gain.value != 0
    assert gain.interval[0] <= gain.value <= gain.interval[1]
    assert gain.beside["best member alone"] == pytest.approx(best.score(name).value, abs=1e-9)
    tie = gain.interval[0] <= 0 <= gain.interval[1]
    assert gain.note.startswith("a tie") == tie
    # Trials are drawn once for both, so that what they share cancels.
    alone = best.score(name).interval
    assert gain.interval[1] - gain.interval[0] < alone[1] - alone[0]
    assert not [score for score in best.scores if "gain" in score.name]


def test_scores_of_other_signals_are_the_best_members(evaluations):
    both, best = evaluations
    same = [name for name in (score.name for score in best.scores)
            if name.startswith(("inferred_input", "coverage", "true_latents"))]  # fmt: skip
    assert len(same) >= 8
    for name in same:
        assert both.score(name).value == best.score(name).value, name
        assert f"of member {both.member} alone" in both.score(name).note
        assert "alone" not in best.score(name).note


def test_rates_that_are_stored_and_inferred_anew_score_alike(scored, evaluations, tmp_path):
    stored = infer_to_file(scored, read_recording_of(scored), tmp_path / "rates.nc", is_new=False)
    request = Request(
        which_set="valid", rates_path=stored, protocol=Protocol(n_bootstrap=200, n_masks=3)
    )
    found = evaluate(scored, request)
    assert found.rates_from == "rates.nc"
    assert evaluations[0].rates_from == "inferred"
    for score in evaluations[0].scores:
        assert found.score(score.name).value == pytest.approx(score.value, abs=1e-5), score.name


def test_rates_of_an_ensemble_are_not_those_of_its_best_member(scored, tmp_path):
    stored = infer_to_file(scored, read_recording_of(scored), tmp_path / "rates.nc", is_new=False)
    request = Request(which_set="valid", rates_path=stored, ensemble=1)
    with pytest.raises(DataError, match="its ensemble is not the one that is evaluated"):
        evaluate(scored, request)
