"""What a search leaves to infer with, from populations made by hand."""

from __future__ import annotations

import math

import torch
from training_cases import Case

from lfads_torch.search.archive import Archive
from lfads_torch.search.kept import kept_of, since_when
from lfads_torch.search.state import SearchState

CASE = Case(dtype=torch.float32)
IDS = (4, 9, 2, 6)


def state(scores: list[float], epochs: list[int], founders: list[int]) -> SearchState:
    population = CASE.state(IDS, learning_rate=[0.1 * (p + 1) for p in range(4)])
    population.best_weights = torch.arange(4.0)[:, None].expand_as(population.weights).clone()
    population.clocks.best_score = torch.tensor(scores, dtype=torch.float64)
    population.clocks.best_epoch = torch.tensor(epochs)
    return SearchState(
        population=population,
        generation=3,
        parent=population.members.clone(),
        founder=torch.tensor(founders),
        archive=Archive.of_founders(population),
    )


def kept(found: SearchState, since: dict[int, int] | None = None):
    return kept_of(found, found.archive.merged(found.population, found.founder), since or {})


def test_members_of_one_line_stand_beside_its_best():
    found = kept(state([3.0, 1.0, 2.0, 4.0], [9, 8, 7, 6], [4, 9, 9, 9]))
    assert found.models.members.tolist() == [4, 9, 12, 16]
    assert found.line.tolist() == [4, 9, 9, 9]
    assert found.slot.tolist() == [4, 9, 2, 6]
    assert found.models.score.tolist() == [3.0, 1.0, 2.0, 4.0]
    assert found.models.epoch.tolist() == [9, 8, 7, 6]
    assert found.models.weights[:, 3].tolist() == [0.0, 1.0, 2.0, 3.0]
    rates = [round(rate, 3) for rate in found.models.hyperparameters.learning_rate.tolist()]
    assert rates == [0.1, 0.2, 0.3, 0.4]


def test_where_nobody_is_copied_there_are_the_lines_alone():
    found = kept(state([3.0, 1.0, math.inf, 4.0], [9, 8, -1, 6], list(IDS)))
    assert found.models.members.tolist() == found.line.tolist() == [4, 9, 6]


def test_one_model_is_kept_once():
    # The last two are copies of the second that have not become better since.
    found = kept(state([3.0, 1.0, 1.0, 1.0], [9, 8, 8, 8], [4, 9, 9, 9]))
    assert found.models.members.tolist() == [4, 9]
    # Members 2 and 6 hold the same former best of their line, which 9 has beaten meanwhile.
    found = kept(state([3.0, 1.0, 2.0, 2.0], [9, 8, 5, 5], [4, 9, 9, 9]))
    assert found.models.members.tolist() == [4, 9, 12]


def test_a_best_from_before_a_member_was_replaced_is_its_parents():
    found = state([3.0, 1.0, 2.0, 4.0], [9, 8, 7, 6], [4, 9, 9, 9])
    assert kept(found, {2: 8, 6: 6}).models.members.tolist() == [4, 9, 16]


def test_since_when_goes_by_the_history_and_by_the_generation_in_progress():
    def row(generation: int, member: int, parent: int) -> dict[str, int]:
        return {
            "generation": generation, "member": member, "parent": parent,
            "first_epoch": 10 * generation, "last_epoch": 10 * generation + 9,
        }  # fmt: skip

    rows = [row(1, 4, 9), row(1, 2, 2), row(2, 4, 4), row(2, 2, 9), row(2, 9, 9)]
    running = state([1.0] * 4, [1] * 4, list(IDS))
    running.parent = torch.tensor([4, 4, 2, 6])
    assert since_when(running, rows) == {4: 10, 2: 20, 9: 30}
    running.generation = 2
    assert since_when(running, rows) == {4: 10, 2: 20}
    assert since_when(running, []) == {}
