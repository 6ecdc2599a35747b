"""Epochs: smoothing, the best state, early stopping, plateaus, and members that diverge."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.errors import DivergenceError
from lfads_torch.loss.settings import LossSettings
from lfads_torch.training import loop
from lfads_torch.training.loop import AdvanceOptions, advance

CASE = Case()


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[list[float]]) -> None:
    """Let the validation score of epoch e be scores[e], one per member."""

    def score(state, task, trials, *, seed):
        return torch.tensor(scores[state.epoch], dtype=torch.float64)

    monkeypatch.setattr(loop, "validation_reconstruction", score)


def column(reports, name, member=0):
    return [report.values[name][member] for report in reports]


def test_the_first_score_starts_the_smoothing(monkeypatch):
    scripted(monkeypatch, [[8.0], [4.0], [6.0]])
    reports = epochs(CASE, CASE.state(), 3)
    assert column(reports, "valid_reconstruction") == [8.0, 4.0, 6.0]
    second = 0.3 * 8.0 + 0.7 * 4.0
    assert column(reports, "valid_score") == pytest.approx([8.0, second, 0.3 * second + 0.7 * 6.0])


def test_the_best_state_is_kept_only_after_both_ramps(monkeypatch):
    """The L2 ramp ends last, in epoch 2: lower scores before it do not count."""
    loss = LossSettings(kl_ramp_increase=1, l2_ramp_start=1, l2_ramp_increase=1)
    case = replace(CASE, loss=loss).with_training(score_smoothing=0.0)
    scripted(monkeypatch, [[1.0], [1.0], [5.0], [7.0], [4.0], [4.5]])
    state, seen = case.state(), []

    def after(report):
        seen.append((int(state.clocks.best_epoch), state.weights.clone()))

    reports = epochs(case, state, 6, after=after)
    assert column(reports, "ramp_kl") == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert column(reports, "ramp_l2") == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert [best for best, _ in seen] == [-1, -1, 2, 2, 4, 4]
    assert float(state.clocks.best_score) == 4.0
    assert torch.equal(state.best_weights, seen[4][1])
    assert not torch.equal(state.best_weights, state.weights)


def test_patience_counts_from_the_best_epoch_after_the_ramps(monkeypatch):
    case = CASE.with_training(patience=3, score_smoothing=0.0)
    # Member 0 is best in epoch 2 (the ramps end in epoch 1), member 1 in epoch 4.
    scores = [[1.0, 1.0], [5.0, 5.0], [4.0, 6.0], [6.0, 5.5], *[[6.0, 4.9]] * 10]
    scripted(monkeypatch, scores)
    state = case.state((3, 8))
    reports = epochs(case, state, 12)
    stopped = [(r.epoch, text) for r in reports for text in r.messages]
    assert [epoch for epoch, _ in stopped] == [5, 7]
    assert len(reports) == 8
    assert "member 3" in stopped[0][1]
    assert "best epoch is 2" in stopped[0][1]
    assert "member 8" in stopped[1][1]
    assert state.clocks.epochs.tolist() == [6, 8]


def test_without_patience_nobody_stops(monkeypatch):
    case = CASE.with_training(patience=0)
    scripted(monkeypatch, [[1.0]] * 3 + [[9.0]] * 4)
    assert len(epochs(case, case.state(), 7)) == 7


def test_a_stopped_member_is_frozen_to_the_bit_and_the_others_go_on():
    alone, together = CASE.state((0, 1, 2)), CASE.state((0, 1, 2))
    epochs(CASE, together, 1)
    epochs(CASE, alone, 1)
    together.clocks.is_stopped[1] = True
    before = state_tensors(together, 1)
    reports = epochs(CASE, together, 2)
    epochs(CASE, alone, 2)
    assert same_bits(state_tensors(together, 1), before) == []
    for p in (0, 2):
        assert same_bits(state_tensors(together, p), state_tensors(alone, p)) == []
    assert [report.messages for report in reports] == [(), ()]


def test_training_ends_when_all_have_stopped_or_somebody_asks():
    state = CASE.state((0, 1))
    state.clocks.is_stopped[:] = True
    assert epochs(CASE, state, 3) == []
    state, reports = CASE.state(), []
    advance(
        state, CASE.task(), CASE.data(), seed=3, n_epochs=9,
        observe=reports.append, options=AdvanceOptions(wants_stop=lambda: len(reports) == 2),
    )  # fmt: skip
    assert [report.epoch for report in reports] == [0, 1]
    assert state.epoch == 2


def test_a_plateau_lowers_the_rate_of_the_member_that_is_on_it(monkeypatch):
    case = CASE.with_training(
        plateau_factor=0.5, plateau_patience=2, score_smoothing=0.0, learning_rate_floor=1.5e-3
    )
    falling = [9.0 - e for e in range(9)]
    flat = [5.0, 4.0, 4.0, 4.5, 4.0, 6.0, 3.0, 3.0, 3.0]
    scripted(monkeypatch, [list(pair) for pair in zip(falling, flat, strict=True)])
    reports = epochs(case, case.state((0, 1)), 9)
    assert column(reports, "learning_rate", 0) == [4e-3] * 9
    # Epochs 2 and 3 bring nothing: half from epoch 4 on; then 4 and 5: the floor from epoch 6 on.
    assert column(reports, "learning_rate", 1) == [4e-3] * 4 + [2e-3] * 2 + [1.5e-3] * 3


def broken_in(state, member: int, epoch: int, value: float = float("nan")):
    """Called after each epoch: puts a NaN among one member's weights before epoch `epoch`."""

    def after(report):
        if report.epoch == epoch - 1:
            state.weights[member, 2] = value

    return after


def test_a_member_that_diverges_harms_nobody():
    whole, state = CASE.state((0, 1, 2)), CASE.state((0, 1, 2))
    epochs(CASE, whole, 4)
    reports = epochs(CASE, state, 4, after=broken_in(state, 1, 2))
    for p in (0, 2):
        assert same_bits(state_tensors(state, p), state_tensors(whole, p)) == []
    assert [len(report.messages) for report in reports] == [0, 0, 1, 1]
    assert np.isnan(column(reports, "reconstruction", 1)[2])
    assert not np.isnan(column(reports, "reconstruction", 0)).any()


def failing_gradient(monkeypatch: pytest.MonkeyPatch, member: int, epoch: int) -> None:
    """The gradient of one member is NaN in the second step of an epoch, all else is fine."""
    plain = loop.training_step

    def step(state, task, trials, indices, **options):
        weights = state.weights.clone()
        report = plain(state, task, trials, indices, **options)
        if state.epoch != epoch or state.step % 3 != 2:
            return report
        state.weights[member] = weights[member]
        norm = report.gradient_norm.clone()
        norm[member] = float("nan")
        return replace(report, gradient_norm=norm)

    monkeypatch.setattr(loop, "training_step", step)


def test_a_member_goes_back_to_the_start_of_the_epoch_at_half_its_rate(monkeypatch):
    failing_gradient(monkeypatch, member=1, epoch=3)
    state, starts = CASE.state((4, 6)), {}
    reports = epochs(
        CASE, state, 4, after=lambda report: starts.update({report.epoch: state_tensors(state, 1)})
    )
    (message,) = reports[3].messages
    assert message == (
        "member 6: gradient_norm was not finite in epoch 3; it went back to the start of the "
        "epoch and its learning rate is now 0.002"
    )
    changed = same_bits(starts[3], starts[2])
    # The score of the weights that were left does not count, nor can it make others the best.
    assert sorted(changed) == ["clock.rollbacks", "own.learning_rate"]
    assert float(state.hyperparameters.learning_rate[1]) == 2e-3
    assert column(reports, "learning_rate", 1) == [4e-3] * 4  # the rate in use in each epoch
    assert state.clocks.epochs.tolist() == [4, 3]
    assert state.clocks.steps.tolist() == [12, 9]


def test_a_rolled_back_member_trains_on(monkeypatch):
    failing_gradient(monkeypatch, member=0, epoch=1)
    state = CASE.state((0,))
    reports = epochs(CASE, state, 5)
    assert [len(report.messages) for report in reports] == [0, 1, 0, 0, 0]
    assert np.isfinite(column(reports, "loss")[2:]).all()
    assert bool(state.weights.isfinite().all())


def broken_weights(case: Case):
    state = case.state((0,))
    state.weights[:, 2] = float("nan")
    return state


def test_a_single_fit_gives_up_after_five_returns_and_names_the_term():
    state, reports = broken_weights(CASE), []
    with pytest.raises(DivergenceError) as caught:
        advance(state, CASE.task(), CASE.data(), seed=3, n_epochs=20, observe=reports.append)
    assert len(reports) == 5
    assert int(state.clocks.rollbacks) == 6
    text = str(caught.value)
    assert "6 times" in text
    assert "member 0: reconstruction was not finite in epoch 5" in text
    assert "training.learning_rate" in text


def test_a_population_goes_on_without_the_member_that_gave_up():
    state = CASE.state((0, 1))
    state.weights[0, 2] = float("nan")
    reports = epochs(CASE, state, 8)
    assert state.clocks.is_stopped.tolist() == [True, False]
    assert [len(report.messages) for report in reports] == [1] * 6 + [0] * 2
    assert reports[5].messages[0].endswith("it stops")
    assert int(state.clocks.best_epoch[0]) == -1


def test_a_fit_that_has_a_best_state_ends_in_order_when_it_diverges_for_good():
    case, state = CASE, CASE.state()
    reports = epochs(case, state, 20, after=broken_in(state, 0, 4))
    assert int(state.clocks.best_epoch) >= 0
    assert bool(state.best_weights.isfinite().all())
    assert len(reports) == 4 + 6
    assert bool(state.clocks.is_stopped.all())


def test_no_global_generator_is_read_or_moved():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()
    first = CASE.state((0, 1))
    epochs(CASE, first, 2)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert all(
        np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_before, strict=True)
    )
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    try:
        second = CASE.state((0, 1))
        epochs(CASE, second, 2)
    finally:
        torch.set_rng_state(torch_before)
        np.random.set_state(numpy_before)
    assert same_bits(state_tensors(first), state_tensors(second)) == []


def test_a_row_has_what_the_format_says():
    row = epochs(CASE, CASE.state((0, 1)), 1)[0].row()
    lists = {
        "reconstruction", "kl_initial_condition", "kl_inputs", "l2", "loss", "gradient_norm",
        "learning_rate", "valid_reconstruction", "valid_score", "ramp_kl", "ramp_l2",
    }  # fmt: skip
    assert row.keys() == lists | {"epoch", "step", "seconds"}
    assert (row["epoch"], row["step"]) == (0, 3)
    assert all(len(row[name]) == 2 for name in lists)


def test_the_terms_of_an_epoch_are_means_over_trials(monkeypatch):
    """11 trials at 5 are batches of 4, 4 and 3."""
    steps, plain = [], loop.training_step

    def step(state, task, trials, indices, **options):
        report = plain(state, task, trials, indices, **options)
        steps.append((indices[0].shape[1], report.terms.reconstruction.tolist()))
        return report

    monkeypatch.setattr(loop, "training_step", step)
    (report,) = epochs(CASE, CASE.state((0, 1)), 1)
    assert [n for n, _ in steps] == [4, 4, 3]
    for p in range(2):
        wanted = sum(n * terms[p] for n, terms in steps) / 11
        assert report.values["reconstruction"][p] == pytest.approx(wanted, rel=1e-12)


def test_training_lowers_the_loss():
    case = replace(CASE, n_train=33).with_training(batch_size=17)
    reports = epochs(case, case.state(), 20)
    first, last = (np.mean(column(part, "reconstruction")) for part in (reports[:3], reports[-3:]))
    assert last < first - 0.02
