"""In a search a member that leaves the finite numbers is frozen, and named with what broke."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import Case, same_bits, state_tensors

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.kernels.compiled.library import Absent, find_library
from lfads_torch.training import loop
from lfads_torch.training.loop import AdvanceOptions, advance
from lfads_torch.training.state import CHECKED_TERMS

CASE = Case(n_train=5, n_valid=3)
NAN, INF = float("nan"), float("inf")


def frozen_epochs(state, n, *, after=lambda report: None, **options):
    reports = []

    def observe(report):
        reports.append(report)
        after(report)

    advance(
        state, CASE.task(), CASE.data(), seed=3, n_epochs=n, observe=observe,
        options=AdvanceOptions(diverged="freeze", **options),
    )  # fmt: skip
    return reports


def weights_are(name, value):
    """One member's weights of this name are set."""

    def breaks(state, monkeypatch):
        CASE.task().layout.views(state.weights)[name][1] = value

    return breaks


def own_is(name, value):
    def breaks(state, monkeypatch):
        getattr(state.hyperparameters, name)[1] = value

    return breaks


def gradient_is_nan(state, monkeypatch):
    plain = loop.training_step

    def step(*given, **named):
        report = plain(*given, **named)
        report.gradient_norm[1] = NAN
        return report

    monkeypatch.setattr(loop, "training_step", step)


def score_is(value):
    def breaks(state, monkeypatch):
        plain = loop.validation_reconstruction

        def score(*given, **named):
            found = plain(*given, **named)
            found[1] = value
            return found

        monkeypatch.setattr(loop, "validation_reconstruction", score)

    return breaks


@pytest.mark.parametrize(
    ("term", "breaks"),
    [
        ("reconstruction", weights_are("generator.bias", NAN)),
        ("reconstruction", weights_are("readout.a.bias", 1e4)),  # exp overflows
        ("kl_initial_condition", weights_are("initial_condition_prior.mean", NAN)),
        ("kl_inputs", weights_are("input_prior.log_variance", NAN)),
        ("l2", own_is("l2_generator_scale", INF)),
        ("loss", own_is("kl_initial_condition_scale", INF)),
        ("gradient_norm", gradient_is_nan),
        ("valid_reconstruction", score_is(NAN)),
        ("valid_reconstruction", score_is(-INF)),
    ],
)
def test_what_broke_first_is_named_and_the_others_go_on(monkeypatch, term, breaks):
    whole, state = CASE.state((3, 7, 8)), CASE.state((3, 7, 8))
    frozen_epochs(whole, 2)
    breaks(state, monkeypatch)
    first, second = frozen_epochs(state, 2)
    clocks = state.clocks
    assert clocks.is_stopped.tolist() == [False, True, False]
    assert clocks.broken.tolist() == [-1, CHECKED_TERMS.index(term), -1]
    assert clocks.smoothed.isfinite().tolist() == [True, False, True]
    assert clocks.epochs.tolist() == [2, 0, 2]
    assert first.messages == (
        f"member 7: {term} was not finite in epoch 0; it is frozen and has no score",
    )
    assert second.messages == ()
    for p in (0, 2):
        assert same_bits(state_tensors(state, p), state_tensors(whole, p)) == []


def test_a_frozen_member_is_frozen_to_the_bit_and_keeps_its_best():
    state, snapshots = CASE.state((0, 1)), []

    def after(report):
        snapshots.append(state_tensors(state, 1))
        if report.epoch == 1:
            state.weights[1, 2] = NAN

    frozen_epochs(state, 5, after=after)
    assert same_bits(snapshots[2], snapshots[4]) == []
    assert int(snapshots[4]["clock.best_epoch"]) == 1
    assert torch.equal(snapshots[4]["best_weights"], snapshots[1]["weights"])
    assert bool(torch.isnan(snapshots[4]["clock.smoothed"]))
    assert int(snapshots[4]["clock.rollbacks"]) == 0
    assert snapshots[4]["own.learning_rate"] == snapshots[0]["own.learning_rate"]


def test_nothing_is_raised_when_all_are_frozen():
    state = CASE.state((0, 1))
    state.weights[:, 2] = NAN
    reports = frozen_epochs(state, 5)
    assert len(reports) == 1
    assert bool(state.clocks.is_stopped.all())
    assert frozen_epochs(state, 5) == []


def test_who_takes_from_another_is_frozen_no_more():
    state = CASE.state((0, 1))
    state.weights[1, 2] = NAN
    frozen_epochs(state, 1)
    state.take(torch.tensor([0, 0]))
    (report,) = frozen_epochs(state, 1)
    assert report.messages == ()
    assert state.clocks.broken.tolist() == [-1, -1]
    assert state.clocks.epochs.tolist() == [2, 2]
    assert bool(state.clocks.smoothed.isfinite().all())


@pytest.mark.skipif(isinstance(find_library(), Absent), reason="there is no compiled library")
def test_with_the_compiled_library_groups_change_no_bit():
    """So the number of members at once is free to follow threads and memory."""
    case = replace(CASE, dtype=torch.float32)
    task = replace(case.task(), kernels=choose_kernels("compiled"))
    states, rows = [], []
    for at_once in (0, 1, 2, 4):
        state, reports = case.state((0, 9, 3, 4, 5)), []
        advance(
            state, task, case.data(), seed=3, n_epochs=2, observe=reports.append,
            options=AdvanceOptions(members_at_once=at_once),
        )  # fmt: skip
        states.append(state_tensors(state))
        rows.append([report.values for report in reports])
    for tensors, values in zip(states[1:], rows[1:], strict=True):
        assert values == rows[0]
        assert tensors.keys() == states[0].keys()
        assert [name for name in tensors if not same(tensors[name], states[0][name])] == []


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.numpy().tobytes() == right.numpy().tobytes()


@pytest.mark.parametrize(
    ("members_at_once", "diverged"),
    [(1, "freeze"), (2, "freeze"), (3, "freeze"), (5, "freeze"), (2, "roll_back")],
)
def test_groups_are_the_population(members_at_once, diverged):
    """One of five breaks; the last group may be smaller; ids are not 0, 1, 2, ..."""
    ids, own = (0, 9, 3, 4, 5), {"learning_rate": [4e-3, 1e-2, 2e-3, 4e-3, 1e-3]}
    states = []
    for at_once in (0, members_at_once):
        state = CASE.state(ids, **own)
        state.weights[3, 2] = NAN
        reports = []
        options = AdvanceOptions(diverged=diverged, members_at_once=at_once)
        advance(
            state, CASE.task(), CASE.data(), seed=3, n_epochs=2, observe=reports.append,
            options=options,
        )  # fmt: skip
        states.append((state, reports))
    (whole, expected), (grouped, found) = states
    assert (grouped.step, grouped.epoch) == (whole.step, whole.epoch) == (2, 2)
    for name, value in state_tensors(whole).items():
        torch.testing.assert_close(
            state_tensors(grouped)[name], value, rtol=1e-10, atol=1e-10, equal_nan=True
        )
    for mine, other in zip(found, expected, strict=True):
        assert mine.members == other.members == ids
        assert mine.messages == other.messages
        for name, values in other.values.items():
            assert mine.values[name] == pytest.approx(values, rel=1e-10, nan_ok=True)


def test_a_row_names_the_members_where_their_ids_are_not_their_places():
    for ids, has_members in (((0, 1), False), ((1, 0), True), ((0, 2), True)):
        (report,) = frozen_epochs(CASE.state(ids), 1)
        assert report.row().get("members") == (list(ids) if has_members else None)


def test_a_part_is_independent_and_goes_back_where_it_came_from():
    state = CASE.state((4, 0, 7))
    frozen_epochs(state, 1)
    before = {p: state_tensors(state, p) for p in range(3)}
    rows = torch.tensor([2, 0])
    part = state.part(rows)
    assert part.members.tolist() == [7, 4]
    assert (part.step, part.epoch) == (state.step, state.epoch)
    frozen_epochs(part, 1)
    part.hyperparameters.learning_rate.add_(1.0)
    for p in range(3):
        assert same_bits(state_tensors(state, p), before[p]) == []
    state.put(rows, part)
    assert same_bits(state_tensors(state, 2), state_tensors(part, 0)) == []
    assert same_bits(state_tensors(state, 0), state_tensors(part, 1)) == []
    assert same_bits(state_tensors(state, 1), before[1]) == []
    part.weights += 1.0
    assert not torch.equal(state.weights[2], part.weights[0])


def test_the_default_is_to_go_back():
    state = CASE.state((0, 1))
    state.weights[1, 2] = NAN
    reports = []
    advance(state, CASE.task(), CASE.data(), seed=3, n_epochs=1, observe=reports.append)
    assert "went back" in reports[0].messages[0]
    assert state.clocks.rollbacks.tolist() == [0, 1]
