"""What training must not depend on: the company a member keeps, and orders that mean nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from training_cases import Case, epochs, state_tensors

from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.settings import AugmentationSettings
from lfads_torch.training.state import PopulationState
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams

CASE = Case(missing_share=0.1)
MEMBERS = (0, 5, 2)
OWN = {
    "learning_rate": [4e-3, 1e-2, 2e-3],
    "dropout_rate": [0.0, 0.2, 0.4],
    "coordinated_dropout_rate": [0.3, 0.0, 0.5],
    "coordinated_dropout_pass_rate": [0.0, 0.0, 0.2],
    "weight_decay": [0.0, 0.1, 0.0],
    "max_gradient_norm": [200.0, 3.0, 50.0],
    "kl_input_scale": [1e-5, 1e-3, 0.0],
}
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def one(name_of_slot: int) -> tuple[PopulationState, list]:
    own = {name: [values[name_of_slot]] for name, values in OWN.items()}
    state = CASE.state((MEMBERS[name_of_slot],), **own)
    return state, epochs(CASE, state, 3)


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], **CLOSE, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(scope="module")
def together() -> tuple[PopulationState, list]:
    state = CASE.state(MEMBERS, **OWN)
    return state, epochs(CASE, state, 3)


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_population_equals_its_members_trained_alone(together, slot):
    """Rates, dropouts, clips and decays differ: those of one must not touch another."""
    population, reports = together
    alone, own_reports = one(slot)
    assert_same(state_tensors(population, slot), state_tensors(alone, 0))
    for report, own in zip(reports, own_reports, strict=True):
        for name, values in report.values.items():
            assert values[slot] == pytest.approx(own.values[name][0], rel=1e-10, abs=1e-10), name


def test_the_members_are_not_the_same_model(together):
    weights = together[0].weights
    assert not torch.allclose(weights[0], weights[1], atol=1e-2)


def test_the_order_of_members_is_irrelevant(together):
    turn = [2, 0, 1]
    state = CASE.state(
        tuple(MEMBERS[p] for p in turn),
        **{name: [values[p] for p in turn] for name, values in OWN.items()},
    )
    reports = epochs(CASE, state, 3)
    for slot, p in enumerate(turn):
        assert_same(state_tensors(state, slot), state_tensors(together[0], p))
        for mine, theirs in zip(reports, together[1], strict=True):
            assert mine.values["loss"][slot] == pytest.approx(theirs.values["loss"][p], rel=1e-10)


def test_the_order_of_trials_in_the_file_is_irrelevant():
    """With their numbers (which key the noise) and the batches permuted along."""
    n = CASE.n_train + CASE.n_valid
    order = np.random.default_rng(4).permutation(n)
    place = torch.as_tensor(np.argsort(order))
    task, ours, theirs = CASE.task(), CASE.state(MEMBERS, **OWN), CASE.state(MEMBERS, **OWN)
    trials, permuted = (CASE.trials(),), (CASE.trials(order),)
    streams = Streams(CASE.seed, ours.members)
    for index in balanced_batches(streams, 0, (n,), 5):
        training_step(ours, task, trials, index, seed=CASE.seed)
        training_step(theirs, task, permuted, (place[index[0]],), seed=CASE.seed)
    assert_same(state_tensors(theirs), state_tensors(ours))
    scores = [
        validation_reconstruction(state, task, data, seed=CASE.seed)
        for state, data in ((ours, trials), (theirs, permuted))
    ]
    torch.testing.assert_close(*scores, **CLOSE)


def permuted_units(weights: Tensor, case: Case, order: list[int]) -> Tensor:
    """The flat weights for units in another order: unit n there is unit order[n] here."""
    weights = weights.clone()
    views = case.task().layout.views(weights)
    seen = [order.index(u) for u in sorted(case.encoded_units, key=order.index)]
    rank = {unit: n for n, unit in enumerate(case.encoded_units)}
    rows = [rank[order[place]] for place in seen]
    for name in ("ic_encoder.input", "controller_encoder.input"):
        views[name].copy_(views[name][:, :, rows].clone())
    for name in ("readout.a.weight", "readout.a.bias"):
        views[name].copy_(views[name][..., order].clone())
    return weights


def test_the_order_of_units_is_irrelevant():
    """With initial weights permuted along; noise on units (dropouts) is off, sampling is on."""
    plain = replace(
        CASE,
        augmentation=AugmentationSettings(dropout_rate=0.0, coordinated_dropout_rate=0.0),
    )
    order = [4, 2, 0, 1, 3]
    places = tuple(sorted(order.index(unit) for unit in plain.encoded_units))
    turned = replace(plain, encoded_units=places, unit_order=tuple(order))
    ours, theirs = plain.state(MEMBERS), turned.state(MEMBERS)
    theirs.weights = permuted_units(ours.weights, plain, order)
    reports = [epochs(case, state, 3) for case, state in ((plain, ours), (turned, theirs))]
    expected = permuted_units(ours.weights, plain, order)
    torch.testing.assert_close(theirs.weights, expected, **CLOSE)
    for mine, other in zip(*reports, strict=True):
        for name, values in mine.values.items():
            assert values == pytest.approx(other.values[name], rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_the_score_does_not_depend_on_how_many_trials_go_at_once(together, monkeypatch, at_once):
    state, _ = together
    task, data = CASE.task(), CASE.data()
    whole = validation_reconstruction(state, task, data.valid, seed=CASE.seed)
    monkeypatch.setattr("lfads_torch.training.score.trials_at_once", lambda *given: at_once)
    chunked = validation_reconstruction(state, task, data.valid, seed=CASE.seed)
    torch.testing.assert_close(chunked, whole, rtol=1e-13, atol=0.0)
