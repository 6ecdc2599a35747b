"""The best model of every line, from populations made by hand."""

from __future__ import annotations

import math

import torch
from training_cases import Case

from lfads_torch.search.archive import Archive

CASE = Case(dtype=torch.float32)
IDS = (4, 9, 2)


def population(scores: list[float], epochs: list[int], mark: float):
    state = CASE.state(IDS, learning_rate=[mark + p for p in range(3)])
    state.best_weights = torch.full_like(state.weights, mark) + torch.arange(3.0)[:, None]
    state.clocks.best_score = torch.tensor(scores, dtype=torch.float64)
    state.clocks.best_epoch = torch.tensor(epochs)
    return state


def of(archive: Archive) -> dict[str, list[float]]:
    models = archive.models
    return {
        "members": models.members.tolist(),
        "score": models.score.tolist(),
        "epoch": models.epoch.tolist(),
        "weight": models.weights[:, 5].tolist(),
        "rate": models.hyperparameters.learning_rate.tolist(),
        "slot": archive.slot.tolist(),
    }


def test_it_begins_with_nothing():
    archive = Archive.of_founders(CASE.state(IDS))
    assert of(archive)["members"] == [4, 9, 2]
    assert of(archive)["score"] == [math.inf] * 3
    assert of(archive)["epoch"] == of(archive)["slot"] == [-1] * 3
    assert archive.ranked() == []
    assert len(archive.with_best().slot) == 0


def test_it_shares_nothing_with_the_population():
    state = CASE.state(IDS)
    archive = Archive.of_founders(state)
    before = of(archive)
    state.hyperparameters.learning_rate.add_(1.0)
    state.weights += 1.0
    state.members += 1
    assert of(archive) == before


def test_the_better_of_a_line_stays_wherever_it_was_trained():
    founders = torch.tensor(IDS)
    first = Archive.of_founders(CASE.state(IDS))
    first = first.merged(population([5.0, 3.0, math.inf], [7, 8, -1], 10.0), founders)
    assert of(first)["score"] == [5.0, 3.0, math.inf]
    assert first.ranked() == [9, 4]
    assert first.with_best().models.members.tolist() == [4, 9]
    before = of(first)
    # Slots 4 and 2 now go on with the line of 9: one is better, one equal; 9 itself is worse.
    second = first.merged(population([3.0, 4.0, 2.0], [9, 9, 10], 20.0), torch.tensor([9, 9, 9]))
    assert of(first) == before
    assert of(second) == {
        "members": [4, 9, 2],
        "score": [5.0, 2.0, math.inf],
        "epoch": [7, 10, -1],
        "weight": [10.0, 22.0, of(first)["weight"][2]],
        "rate": [10.0, 22.0, of(first)["rate"][2]],
        "slot": [4, 2, -1],
    }
    assert second.ranked() == [9, 4]


def test_a_score_that_is_only_equal_or_not_a_number_changes_nothing():
    founders = torch.tensor(IDS)
    archive = Archive.of_founders(CASE.state(IDS))
    archive = archive.merged(population([5.0, 3.0, 1.0], [7, 8, 8], 10.0), founders)
    again = archive.merged(population([5.0, math.nan, 0.0], [9, 9, -1], 20.0), founders)
    assert of(again) == of(archive)


def test_equal_lines_rank_in_their_order():
    archive = Archive.of_founders(CASE.state(IDS))
    archive = archive.merged(population([1.0, 1.0, 0.5], [3, 3, 3], 1.0), torch.tensor(IDS))
    assert archive.ranked() == [2, 4, 9]
