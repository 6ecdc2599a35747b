"""A member's changed numbers act in the very next step, as if it had always had them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.settings import AugmentationSettings
from lfads_torch.training.state import PopulationState
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams

# Passed entries matter only where some are passed; scales are such that each shows.
CASE = Case(
    n_train=5,
    n_valid=3,
    augmentation=AugmentationSettings(
        dropout_rate=0.1, coordinated_dropout_rate=0.3, coordinated_dropout_pass_rate=0.1
    ),
)
CHANGED = {
    "learning_rate": 1e-2,
    "weight_decay": 0.5,
    "max_gradient_norm": 1e-3,
    "beta1": 0.5,
    "beta2": 0.9,
    "epsilon": 1e-2,
    "dropout_rate": 0.4,
    "coordinated_dropout_rate": 0.6,
    "coordinated_dropout_pass_rate": 0.5,
    "kl_initial_condition_scale": 1e-2,
    "kl_input_scale": 1e-2,
    "l2_ic_encoder_scale": 1.0,
    "l2_controller_encoder_scale": 1.0,
    "l2_controller_scale": 1.0,
    "l2_generator_scale": 1.0,
    "spike_jitter_rate": 0.5,
    "temporal_shift_rate": 0.7,
}


def trained(members: tuple[int, ...] = (0, 4, 2)) -> PopulationState:
    """After both ramps, with moments that are not zero."""
    state = CASE.state(members)
    epochs(CASE, state, 2)
    return state


@pytest.fixture(scope="module")
def start() -> PopulationState:
    return trained()


def step(state: PopulationState) -> None:
    """One step in place: the first batch of the state's epoch."""
    data = CASE.data()
    streams = Streams(CASE.seed, state.members)
    batch = balanced_batches(streams, state.epoch, (CASE.n_train,), 5)[0]
    training_step(state, CASE.task(), data.train, batch, seed=CASE.seed)


@pytest.fixture(scope="module")
def usual(start) -> PopulationState:
    state = start.copy()
    step(state)
    return state


def test_the_cases_are_all_numbers_of_a_member():
    assert CHANGED.keys() == set(Hyperparameters.names())


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_acts_at_once_on_its_member_alone(start, usual, name):
    """And the member does what one alone does that was built with the value."""
    state = start.copy()
    getattr(state.hyperparameters, name)[1] = CHANGED[name]
    step(state)
    assert not torch.equal(state.weights[1], usual.weights[1])
    for p in (0, 2):
        assert same_bits(state_tensors(state, p), state_tensors(usual, p)) == []
    alone = start.part(torch.tensor([1]))
    own = {name: torch.tensor([CHANGED[name]], dtype=torch.float64)}
    alone.hyperparameters = replace(alone.hyperparameters, **own)
    step(alone)
    for name_of, value in state_tensors(state, 1).items():
        torch.testing.assert_close(
            value, state_tensors(alone, 0)[name_of], rtol=1e-9, atol=1e-11, msg=name_of
        )


def gradient_of_the_next_step(start: PopulationState) -> torch.Tensor:
    """With beta1 = 0 and no clip the first moment is the gradient itself."""
    probe = start.copy()
    probe.hyperparameters.beta1.fill_(0.0)
    probe.hyperparameters.max_gradient_norm.fill_(1e300)
    step(probe)
    return probe.moment1


@pytest.mark.parametrize("name", [None, *list(CHANGED)[:6]])
def test_the_next_step_is_adamw_worked_out_by_hand(start, name):
    """Loshchilov & Hutter, algorithm 2, number by number, with the member's values of now."""
    gradient = gradient_of_the_next_step(start)
    state = start.copy()
    if name is not None:
        getattr(state.hyperparameters, name)[1] = CHANGED[name]
    own = {key: float(value[1]) for key, value in state.hyperparameters.as_dict().items()}
    n_steps = int(start.clocks.steps[1]) + 1
    assert n_steps == 3
    step(state)
    norm = math.sqrt(sum(g * g for g in gradient[1].tolist()))
    clip = min(1.0, own["max_gradient_norm"] / (norm + 1e-6))
    expected = []
    for w, m, v, g in zip(
        *(each[1].tolist() for each in (start.weights, start.moment1, start.moment2, gradient)),
        strict=True,
    ):
        m = own["beta1"] * m + (1.0 - own["beta1"]) * clip * g
        v = own["beta2"] * v + (1.0 - own["beta2"]) * (clip * g) ** 2
        m_hat = m / (1.0 - own["beta1"] ** n_steps)
        v_hat = v / (1.0 - own["beta2"] ** n_steps)
        rate = own["learning_rate"]
        w = w - rate * own["weight_decay"] * w  # the ramp is over
        expected.append(w - rate * m_hat / (math.sqrt(v_hat) + own["epsilon"]))
    torch.testing.assert_close(
        state.weights[1], torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12
    )
