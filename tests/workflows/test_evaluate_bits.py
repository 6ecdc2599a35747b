"""Bits per spike of a run against direct computations from rates.nc, and the masked score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from tiny_runs import fitted, rich_recording, with_rates

from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.workflows.evaluate import Request, evaluate, evaluate_run
from lfads_torch.workflows.scores.bits import masked_prediction
from lfads_torch.workflows.scores.trials import Case, Protocol, ScoredTrials
from lfads_torch.workflows.stored import load_model, read_recording_of

SPLIT = ("split.held_out_fraction=0.34", "split.n_forward_bins=2", "split.test_fraction=0.2")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By the number of members."""
    folder = tmp_path_factory.mktemp("bits")
    settings = (*SPLIT, "model.ic_bins=1")
    return {
        n: with_rates(fitted(rich_recording(), folder / str(n), *settings, f"run.n_seeds={n}"))
        for n in (1, 2)
    }


@pytest.fixture(scope="module")
def run(runs):
    return runs[2]


def direct_bits(counts, expected, null):
    """The definition in one line, with scipy's Poisson and NaN left out."""
    present = np.isfinite(counts)
    y, p, q = counts[present], expected[present], np.broadcast_to(null, counts.shape)[present]
    poisson = scipy.stats.poisson
    return (poisson.logpmf(y, p) - poisson.logpmf(y, q)).sum() / y.sum() / np.log(2)


@pytest.mark.parametrize(("n_members", "which_set"), [(1, "valid"), (2, "test"), (2, "all")])
def test_bits_per_spike_are_those_of_the_rates_file(runs, n_members, which_set):
    run = runs[n_members]
    evaluation = evaluate_run(run, which_set=which_set, protocol=Protocol(n_bootstrap=30))
    assert evaluation.rates_from == "rates.nc"
    recording = read_recording_of(run)
    trials, train = (recording.split.trials(name) for name in (which_set, "train"))
    with open_rates(run.rates_path) as rates:
        expected = rates["rates"].values[trials].astype(float) * recording.bin_width_s
        seen, seen_bin = rates["is_encoded"].values == 1, rates["is_encoded_bin"].values == 1
    generated = recording.counts[:, 1:]
    entries = {
        "co_smoothing": np.ix_(np.ones(len(trials), bool), seen_bin, ~seen),
        "forward": np.ix_(np.ones(len(trials), bool), ~seen_bin, np.ones_like(seen)),
        "encoded": np.ix_(np.ones(len(trials), bool), seen_bin, seen),
    }
    for name, chosen in entries.items():
        counts = generated[trials][chosen]
        _, bins, units = chosen
        training = generated[train][:, bins[0, :, 0]][:, :, units[0, 0]]
        for suffix, null in (("", counts), ("_over_training_mean", training)):
            score = evaluation.score(f"{name}_bits_per_spike{suffix}")
            wanted = direct_bits(counts, expected[chosen], np.nanmean(null, axis=(0, 1)))
            assert score.value == pytest.approx(wanted, rel=1e-9)
            assert score.interval[0] <= score.interval[1]
            assert (score.set, score.n_trials) == (which_set, len(trials))
            assert score.is_used_for_selection == (which_set != "test")
    assert "seen by the encoder" in evaluation.score("encoded_bits_per_spike").note


def case_of(run, recording, positions) -> Case:
    """The masked score asks for little of a case."""
    model = load_model(run, recording)
    first = model.settings.model.ic_bins
    evaluated = ScoredTrials(
        recording=recording.take_trials(positions), first_bin=first, count_factor=0.01,
        fetch=lambda: pytest.fail("the masked score needs no rates"),
    )  # fmt: skip
    return Case(
        model=model, positions=positions, evaluated=evaluated, train=None, no_train_reason="",
        is_encoded=np.array(model.card.is_encoded),
        is_encoded_bin=np.arange(first, model.card.n_bins) < model.card.n_encoded_bins,
        protocol=Protocol(n_masks=3), set_name="valid", is_used_for_selection=True,
    )  # fmt: skip


def test_the_masked_score_is_of_every_encoded_entry_once(run):
    recording = read_recording_of(run)
    positions = recording.split.trials("valid")
    case = case_of(run, recording, positions)
    hidden = masked_prediction(case)
    entries = case.is_encoded_bin[:, None] & case.is_encoded
    assert (np.isfinite(hidden) == entries).all()
    counts = np.where(entries, recording.counts[positions][:, 1:], np.nan)
    null = np.nansum(counts, (0, 1)) / np.maximum(np.isfinite(counts).sum((0, 1)), 1)
    score = evaluate(
        run, Request(which_set="valid", protocol=Protocol(n_masks=3, n_bootstrap=0))
    ).score("masked_bits_per_spike")
    assert score.value == pytest.approx(direct_bits(counts, hidden, null), rel=1e-9)
    assert score.interval is None


def test_an_entry_is_predicted_without_being_seen(run):
    """Changing one count moves no prediction of its own mask, and many of the other masks."""
    recording = read_recording_of(run)
    positions = recording.split.trials("valid")
    before = case_of(run, recording, positions)
    unit = int(np.flatnonzero(before.is_encoded)[0])
    counts = recording.counts.copy()
    counts[positions[0], 4, unit] = 9.0
    after = case_of(run, replace(recording, counts=counts), positions)
    moved = masked_prediction(before) != masked_prediction(after)
    entries = before.is_encoded_bin[:, None] & before.is_encoded
    moved &= entries
    assert not moved[0, 3, unit]  # generated bin 3 is recording bin 4
    share = moved[0][entries].mean()
    assert 0.5 < share < 0.75  # two of three masks show it
    assert not moved[1:].any()


def test_rates_are_inferred_anew_where_no_file_fits(run, tmp_path):
    kept = run.rates_path.rename(tmp_path / "kept.nc")
    try:
        fresh = evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=0, n_masks=2))
        given = evaluate_run(
            run, which_set="valid", rates_path=kept, protocol=Protocol(n_bootstrap=0, n_masks=2)
        )
    finally:
        kept.rename(run.rates_path)
    assert (fresh.rates_from, given.rates_from) == ("inferred", "kept.nc")
    for score in given.scores:
        assert fresh.score(score.name).value == pytest.approx(score.value, rel=1e-4, abs=1e-5)


def test_another_member_is_scored_on_its_own_rates(run):
    best = load_model(run, read_recording_of(run)).member
    others = [member for member in range(run.read_record().n_members) if member != best]
    one = evaluate_run(run, which_set="valid", protocol=Protocol(n_bootstrap=0))
    for member in others:
        other = evaluate(run, Request(which_set="valid", member=member))
        assert (other.member, other.rates_from) == (member, "inferred")
        name = "co_smoothing_bits_per_spike"
        assert other.score(name).value != one.score(name).value


def test_the_seed_decides_the_masks_and_the_intervals(run):
    first, again, other = (
        evaluate_run(run, which_set="test", protocol=Protocol(n_bootstrap=20, n_masks=2, seed=seed))
        for seed in (4, 4, 5)
    )
    assert again == first
    masked, seen = "masked_bits_per_spike", "encoded_bits_per_spike"
    assert first.score(masked).value != other.score(masked).value
    assert first.score(seen).value == other.score(seen).value
    assert first.score(seen).interval != other.score(seen).interval
