"""Recorded steps: the same bits as steps one by one, and nothing that waits for the device.

No GPU here: the recording is replaced by running the same body again, which is what a replay does.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from device_waits import NothingWaits
from member_parts import with_member_parts
from training_cases import Case, same_bits, state_tensors

from lfads_torch.training import augment, graphs, step
from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.graphs import StepGraphs, Sums
from lfads_torch.training.prepare import augmentations
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams

CASES = {
    "usual": Case(),
    "float32, missing entries": Case(missing_share=0.1, dtype=torch.float32),
    "without dropout": Case(n_external_inputs=0),
    "numbers of plug-ins": with_member_parts(Case()),
}


@pytest.fixture
def replayed(monkeypatch):
    """A recording that does nothing but remember what to run."""

    def recorded(stage, batch, share):
        indices = tuple(index.clone() for index in batch)
        replay = SimpleNamespace(replay=lambda: stage.advance(indices, share))
        return graphs._Graph(replay, indices)

    monkeypatch.setattr(graphs._Stage, "_recorded", recorded)


def batches_of(case: Case, state) -> list[tuple[torch.Tensor, ...]]:
    return balanced_batches(Streams(case.seed, state.members), 0, (case.n_train,), 5)


def chain_of(case: Case):
    return augmentations(case.task(), case.state((4, 0)).hyperparameters)


@pytest.mark.parametrize("name", CASES)
def test_replays_are_the_steps_one_by_one_to_the_bit(name, replayed):
    case = CASES[name]
    task, data, one_by_one = case.task(), case.data(), case.state((4, 0, 1))
    state = one_by_one.copy()
    batches = batches_of(case, state)
    assert len({batch[0].shape[1] for batch in batches}) == 2
    sums = Sums.start(3, state.weights.device)
    for batch in batches:
        report = training_step(one_by_one, task, data.train, batch, seed=case.seed)
        sums.add(report, batch[0].shape[1] / case.n_train)
    found = task.graphs.epoch(
        state, task, data.train, batches, seed=case.seed, chain=chain_of(case)
    )
    assert state.step == one_by_one.step == 3
    assert same_bits(state_tensors(state), state_tensors(one_by_one)) == []
    for terms, expected in ((found.means, sums.means), (found.is_finite, sums.is_finite)):
        assert all(torch.equal(terms[k], v) for k, v in expected.items())


def test_a_stage_takes_up_what_changed_outside(replayed):
    """After selection and perturbation all tensors of a state are others; ids of slots stay."""
    case = CASES["usual"]
    task, data, state = case.task(), case.data(), case.state((4, 0, 1))
    batches = batches_of(case, state)
    task.graphs.epoch(state, task, data.train, batches, seed=case.seed, chain=chain_of(case))
    state.take(torch.tensor([2, 2, 0]))
    state.hyperparameters.learning_rate[0] *= 0.5
    state.clocks.is_stopped[1] = True
    expected = state.copy()
    for batch in batches:
        training_step(expected, task, data.train, batch, seed=case.seed)
    task.graphs.epoch(state, task, data.train, batches, seed=case.seed, chain=chain_of(case))
    assert same_bits(state_tensors(state), state_tensors(expected)) == []


def test_the_oldest_stages_go(replayed):
    """A stage keeps a population and all that its steps need on the device."""
    case = CASES["without dropout"]
    task, data, state = case.task(), case.data(), case.state((4,))
    batches = batches_of(case, state)[:1]
    for seed in range(graphs._STAGES + 2):
        task.graphs.epoch(state, task, data.train, batches, seed=seed, chain=chain_of(case))
    assert [key[1] for key in task.graphs._stages] == list(range(2, graphs._STAGES + 2))


def test_a_refusal_changes_nothing_and_is_told_once(monkeypatch):
    def refuse(stage, batch, share):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(graphs._Stage, "_recorded", refuse)
    case = CASES["usual"]
    task, data, state = case.task(), case.data(), case.state((4, 0))
    before = state.copy()
    assert (
        task.graphs.epoch(
            state, task, data.train, batches_of(case, state), seed=1, chain=chain_of(case)
        )
        is None
    )
    assert state.step == before.step
    assert torch.equal(state.weights, before.weights)
    (message,) = task.graphs.news()
    assert "launched one by one" in message
    assert "RuntimeError: operation not permitted when stream is capturing)" in message
    assert task.graphs.news() == []


def test_trials_that_end_at_different_bins_are_not_even_tried(monkeypatch):
    def tried(stage, batch, share):
        raise AssertionError("nothing may be recorded")

    monkeypatch.setattr(graphs._Stage, "_recorded", tried)
    case = CASES["usual"]
    task, state, (trials,) = case.task(), case.state((4, 0)), case.data().train
    ends = torch.full((trials.n_trials,), trials.counts.shape[1])
    ended = (replace(trials, n_trial_bins=ends),)
    batches = batches_of(case, state)
    assert task.graphs.epoch(state, task, ended, batches, seed=1, chain=()) is None
    (message,) = task.graphs.news()
    assert "trials end at different bins" in message


def test_graphs_can_be_switched_off(replayed):
    case = CASES["usual"]
    off, state = StepGraphs(is_wanted=False), case.state((4, 0))
    batches = batches_of(case, state)
    assert (
        off.epoch(state, case.task(), case.data().train, batches, seed=1, chain=chain_of(case))
        is None
    )
    assert off.news() == []


@pytest.mark.parametrize("name", CASES)
def test_nothing_in_a_step_waits_for_the_device(name, monkeypatch):
    case = CASES[name]
    for module in (step, augment):
        monkeypatch.setattr(module, "may_act", lambda rate: True)  # as on a GPU
    task, data, state = case.task(), case.data(), case.state((4, 0))
    (batch, *_) = batches_of(case, state)
    own = replace(state)
    own.step = torch.zeros(1, dtype=torch.int64)
    chain = chain_of(case)
    training_step(own, task, data.train, batch, seed=1, chain=chain)  # what moves once moves now
    with NothingWaits():
        training_step(own, task, data.train, batch, seed=1, chain=chain)
    assert own.step.tolist() == [2]
