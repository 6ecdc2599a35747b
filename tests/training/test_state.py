"""Gathering a population: what travels with a model, and what stays with its slot."""

from __future__ import annotations

import torch
from training_cases import Case, epochs, same_bits, state_tensors

CASE = Case()
OWN = {"learning_rate": [4e-3, 1e-2, 2e-3], "dropout_rate": [0.0, 0.2, 0.4]}


def trained(members: tuple[int, ...] = (0, 1, 2)):
    state = CASE.state(members, **OWN)
    epochs(CASE, state, 3)
    return state


def test_everything_but_the_id_comes_from_the_parent():
    state = trained()
    before = {p: state_tensors(state, p) for p in range(3)}
    state.take(torch.tensor([2, 1, 2]))
    for slot, parent in enumerate((2, 1, 2)):
        expected = {**before[parent], "members": before[slot]["members"]}
        assert same_bits(state_tensors(state, slot), expected) == []


def test_no_slot_shares_memory_with_another():
    state = trained()
    state.take(torch.tensor([2, 2, 2]))
    before = state_tensors(state, 1)
    state.weights[0] += 1.0
    state.hyperparameters.learning_rate[0] = 9.0
    state.clocks.steps[0] = 9
    assert same_bits(state_tensors(state, 1), before) == []


def test_a_gathered_model_goes_on_as_its_parent_would_in_that_slot():
    """Slot 0 with the model of slot 2 trains as a population whose slot 2 has the id of slot 0."""
    gathered, parent = trained(), trained()
    gathered.take(torch.tensor([2, 1, 2]))
    parent.members = torch.tensor([7, 8, 0])
    for state in (gathered, parent):
        epochs(CASE, state, 2)
    for name, value in state_tensors(gathered, 0).items():
        torch.testing.assert_close(
            value, state_tensors(parent, 2)[name], rtol=1e-9, atol=1e-9, msg=name
        )
    # With ids of their own, two slots that start from one model part ways.
    assert not torch.equal(gathered.weights[0], gathered.weights[2])


def test_a_copy_stays_as_it_was():
    state = CASE.state((0, 1))
    copy, before = state.copy(), state_tensors(state)
    epochs(CASE, state, 1)
    assert same_bits(state_tensors(copy), before) == []
    assert (copy.step, copy.epoch) == (0, 0)
    assert "weights" in same_bits(state_tensors(state), before)


def test_initial_weights_depend_on_seed_name_and_id_alone():
    together, alone = CASE.state((4, 0, 9)), CASE.state((9,))
    assert torch.equal(together.weights[2], alone.weights[0])
    layout = CASE.task().layout
    without_inputs = Case(n_external_inputs=0)
    views = layout.views(alone.weights)
    others = without_inputs.task().layout.views(without_inputs.state((9,)).weights)
    same = [name for name, value in others.items() if torch.equal(value, views[name])]
    assert set(others) - set(same) == {"generator.input"}
