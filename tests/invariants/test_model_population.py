"""A population is its members side by side; members, trials and units may stand in any order."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from tiny_models import Tiny, gradients_of_one_step

from lfads_torch.loss.objective import LossTerms
from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.hyperparameters import Hyperparameters
from lfads_torch.training.score import forward, validation_reconstruction
from lfads_torch.training.state import PopulationState
from lfads_torch.training.step import training_step

SEED = 13
MEMBERS = (7, 2, 5)
INDEX = torch.tensor([[0, 4, 2], [3, 1, 0], [4, 2, 3]])
# Each member has hyperparameters of its own; the first drops nothing, the last is clipped.
OWN = {
    "learning_rate": [4e-3, 1e-3, 1e-2],
    "weight_decay": [0.0, 0.3, 0.1],
    "max_gradient_norm": [1e30, 1e30, 1e-3],
    "beta1": [0.9, 0.8, 0.95],
    "beta2": [0.999, 0.99, 0.9],
    "epsilon": [1e-8, 1e-6, 1e-3],
    "dropout_rate": [0.0, 0.3, 0.1],
    "coordinated_dropout_rate": [0.3, 0.0, 0.6],
    "coordinated_dropout_pass_rate": [0.0, 0.5, 0.2],
    "kl_initial_condition_scale": [0.1, 0.2, 0.3],
    "kl_input_scale": [0.3, 0.2, 0.0],
    "l2_ic_encoder_scale": [0.0, 0.5, 1.0],
    "l2_controller_encoder_scale": [0.0, 0.0, 0.1],
    "l2_controller_scale": [0.0, 0.2, 0.1],
    "l2_generator_scale": [0.0, 2.0, 0.1],
    "spike_jitter_rate": [0.0, 0.0, 0.0],
    "temporal_shift_rate": [0.5, 0.0, 0.3],
}
ARRANGEMENTS = {
    "usual": Tiny(missing_share=0.2),
    "initial segment": Tiny(model={"ic_bins": 2}),
    "gaussian, no controller": Tiny(observation="gaussian", model={"n_inferred_inputs": 0}),
}


def start(tiny: Tiny, places: list[int]) -> PopulationState:
    """The slots `places` of the population, each with its permanent id."""
    state = tiny.state(tiny.task(), members=[MEMBERS[p] for p in places])
    own = {
        name: torch.tensor([values[p] for p in places], dtype=tiny.dtype)
        for name, values in OWN.items()
    }
    state.hyperparameters = Hyperparameters(**own)
    return state


def trained(tiny: Tiny, places: list[int], *, n_steps: int = 3):
    """State, reports and scores of these slots after some steps."""
    task, trials, state = tiny.task(), tiny.trials(5), start(tiny, places)
    reports = [
        training_step(state, task, (trials,), (INDEX[places].roll(step, 1),), seed=SEED)
        for step in range(n_steps)
    ]
    return state, reports, validation_reconstruction(state, task, (trials,), seed=SEED)


def assert_same(found, expected, places: list[int], *, exactly: bool) -> None:
    """The slots of `found` are the slots `places` of `expected`."""
    tolerance = {"rtol": 0.0, "atol": 0.0} if exactly else {"rtol": 1e-10, "atol": 1e-12}
    (state, reports, score), (other, other_reports, other_score) = found, expected
    for name in ("weights", "moment1", "moment2"):
        torch.testing.assert_close(getattr(state, name), getattr(other, name)[places], **tolerance)
    for report, other_report in zip(reports, other_reports, strict=True):
        for field in fields(LossTerms):
            mine, theirs = (getattr(r.terms, field.name) for r in (report, other_report))
            torch.testing.assert_close(mine, theirs[places], **tolerance)
        torch.testing.assert_close(
            report.gradient_norm, other_report.gradient_norm[places], **tolerance
        )
    torch.testing.assert_close(score, other_score[places], **tolerance)


@pytest.mark.parametrize("kernels", ["reference", "portable"])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_population_is_its_members_trained_alone(name, kernels):
    """Values, terms, gradients, updates and scores, whatever the others' hyperparameters."""
    tiny = replace(ARRANGEMENTS[name], kernels=kernels)
    together = trained(tiny, [0, 1, 2])
    for p in range(3):
        assert_same(trained(tiny, [p]), together, [p], exactly=False)


@pytest.mark.parametrize("kernels", ["reference", "portable"])
def test_the_order_of_members_is_irrelevant(kernels):
    tiny = replace(ARRANGEMENTS["usual"], kernels=kernels)
    together = trained(tiny, [0, 1, 2])
    assert_same(trained(tiny, [2, 0, 1]), together, [2, 0, 1], exactly=False)


def test_members_with_the_same_settings_differ_by_their_ids_alone():
    tiny = ARRANGEMENTS["usual"]
    task, trials = tiny.task(), tiny.trials(5)
    index = INDEX[:1].expand(2, -1)
    state = tiny.state(task, members=(3, 4))
    state.weights = state.weights[:1].repeat(2, 1)
    report = training_step(state, task, (trials,), (index,), seed=SEED)
    first, second = report.terms.loss.tolist()
    assert first != second


@pytest.mark.parametrize("kernels", ["reference", "portable"])
def test_the_order_of_trials_in_a_batch_is_irrelevant(kernels):
    """Noise follows the trial, not its place."""
    tiny = replace(
        ARRANGEMENTS["usual"],
        kernels=kernels,
        augmentation={"dropout_rate": 0.3, "coordinated_dropout_rate": 0.4},
    )
    task, trials = tiny.task(), tiny.trials(5)
    gradients, losses = [], []
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        state = tiny.state(task, members=(1, 2))
        index = torch.tensor(order).expand(2, -1)
        losses.append(training_step(state, task, (trials,), (index,), seed=SEED).terms.loss)
        gradients.append(gradients_of_one_step(state, task))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=0.0)
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], rtol=1e-9, atol=1e-12)


def test_reordering_a_recordings_trials_with_their_row_numbers_changes_nothing():
    tiny = ARRANGEMENTS["usual"]
    task, trials = tiny.task(), tiny.trials(5)
    shuffled = trials.take(torch.tensor([3, 1, 4, 0, 2]))
    state = tiny.state(task, members=(1, 2))
    before = validation_reconstruction(state, task, (trials,), seed=SEED)
    after = validation_reconstruction(state, task, (shuffled,), seed=SEED)
    torch.testing.assert_close(before, after, rtol=1e-12, atol=0.0)


def test_the_order_of_units_is_irrelevant_with_their_weights_permuted_along():
    order = torch.tensor([4, 2, 0, 1, 3])  # new position -> old position
    tiny = Tiny(missing_share=0.2)
    position = {int(old): new for new, old in enumerate(order)}
    encoded = tuple(sorted(position[n] for n in tiny.encoded_units))
    moved_tiny = replace(tiny, encoded_units=encoded)
    task, moved_task = tiny.task(), moved_tiny.task()
    state = tiny.state(task)
    moved_state = moved_tiny.state(moved_task)
    rows = torch.tensor([tiny.encoded_units.index(int(order[n])) for n in encoded])
    named, moved = task.layout.views(state.weights), moved_task.layout.views(moved_state.weights)
    for name, value in named.items():
        if name in ("ic_encoder.input", "controller_encoder.input"):
            value = value[:, :, rows]
        elif name.startswith("readout"):
            value = value[..., order]
        moved[name].copy_(value)
    trials = tiny.trials(3)
    shuffled = replace(
        trials, counts=trials.counts[:, :, order], is_present=trials.is_present[:, :, order]
    )
    index = torch.arange(3)[None]
    found, expected = (
        forward(one, each, index, 0, ModelWeights.arrange(weights, ("session",)), Silence())
        for one, each, weights in ((moved_task, shuffled, moved), (task, trials, named))
    )
    torch.testing.assert_close(
        found.parameters[0], expected.parameters[0][..., order], rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(
        validation_reconstruction(moved_state, moved_task, (shuffled,), seed=SEED),
        validation_reconstruction(state, task, (trials,), seed=SEED),
        rtol=1e-10,
        atol=0.0,
    )
