"""A whole search, watched: who trained what, what was copied, what is kept, and resuming it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from search_cases import SearchCase, Watcher, search_tensors
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.search.run import Ending, Past
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.state import SearchState, load_search, save_search
from lfads_torch.training.state import PopulationState

CPU = torch.device("cpu")
# Epochs 0 and 1, then 2, then 3; both ramps end in epoch 1.
SEARCH = SearchCase(
    Case(n_train=7, n_valid=3),
    SearchSettings(population=5, generations=3, generation_epochs=1, stop_generations=0),
)
HALVING = SearchCase(
    Case(n_train=5, n_valid=3),
    SearchSettings(
        population=2, generations=2, generation_epochs=1, start="halving", halving_epochs=1
    ),
)


@dataclass
class Seen:
    """Everything of a search at the end of every epoch and at the start of every generation."""

    ending: Ending
    watcher: Watcher
    state: SearchState
    epochs: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    begun: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    populations: dict[str, PopulationState] = field(default_factory=dict)

    @property
    def rows(self):
        return self.watcher.rows

    def of(self, generation: int):
        return [row for row in self.rows if row["generation"] == generation]


def seen(case: SearchCase, start: SearchState | None = None) -> Seen:
    state, epochs, begun, populations = start or case.start(), {}, {}, {}

    def after_epoch(state, report):
        epochs[report.epoch] = search_tensors(state)
        populations[f"end {state.generation}"] = state.population.copy()

    def on_begin(state):
        begun[state.generation] = search_tensors(state)
        populations[f"start {state.generation}"] = state.population.copy()

    watcher = Watcher(after_epoch, on_begin)
    ending = case.run(state, watcher)
    return Seen(ending, watcher, state, epochs, begun, populations)


@pytest.fixture(scope="module")
def usual() -> Seen:
    return seen(SEARCH)


@pytest.fixture(scope="module")
def halved() -> Seen:
    return seen(HALVING)


def test_it_ends_at_its_last_generation(usual):
    assert usual.ending == Ending("limit", "all 3 generations are done")
    assert [report.epoch for report in usual.watcher.epochs] == [0, 1, 2, 3]
    assert [(row["first_epoch"], row["last_epoch"]) for row in usual.rows[::5]] == [
        (0, 1), (2, 2), (3, 3),
    ]  # fmt: skip


def test_losers_are_replaced_by_a_better_one_of_two_pairs(usual):
    """Five members: two pairs, so two are replaced, each by one with a lower score."""
    for generation in (0, 1):
        scores = {row["member"]: row["score"] for row in usual.of(generation)}
        outcome = {row["member"]: row["outcome"] for row in usual.of(generation)}
        parent = {row["member"]: row["parent"] for row in usual.of(generation + 1)}
        assert sorted(outcome.values()) == ["kept"] * 3 + ["replaced"] * 2
        for member, word in outcome.items():
            if word == "kept":
                assert parent[member] == member
            else:
                assert scores[parent[member]] < scores[member]
    assert {row["outcome"] for row in usual.of(2)} == {"last"}


def test_a_row_says_what_the_epochs_said(usual):
    for row in usual.rows:
        last = usual.watcher.epochs[row["last_epoch"]]
        p = last.members.index(row["member"])
        assert row["score"] == last.values["valid_score"][p]
        assert row["training.learning_rate"] == last.values["learning_rate"][p]
        names = ("valid_reconstruction", "reconstruction", "kl_initial_condition", "kl_inputs",
                 "l2", "loss", "gradient_norm")  # fmt: skip
        assert [row[name] for name in names] == [last.values[name][p] for name in names]
        assert (row["is_frozen"], row["broke"]) == (0, "")


def test_founders_are_inherited(usual):
    founder = {member: member for member in range(5)}
    for generation in range(3):
        for row in usual.of(generation):
            assert row["founder"] == founder[row["parent"]]
        founder = {row["member"]: row["founder"] for row in usual.of(generation)}


def test_all_of_a_model_is_copied_as_it_was_at_the_end_of_the_generation(usual):
    """Weights, moments, clocks, scores, best; the searched numbers change, all others do not."""
    searched = {f"own.{each.field}" for each in SEARCH.space}
    n_copied = 0
    for generation, last in ((1, 1), (2, 2)):
        before, after = usual.epochs[last], usual.begun[generation]
        parents = [row["parent"] for row in usual.of(generation)]
        assert after["members"].tolist() == [0, 1, 2, 3, 4]
        for slot, parent in enumerate(parents):
            for name, value in after.items():
                if name in ("members", "parent", "founder", "slot") or name.startswith("archive"):
                    continue
                is_same = torch.equal(value[slot], before[name][parent])
                is_changed = slot != parent and name in searched
                assert is_same != is_changed, (name, slot)
            n_copied += slot != parent
    assert n_copied == 4


def test_each_copy_changes_each_number_by_a_factor_of_its_own(usual):
    found = []
    for generation in (1, 2):
        before = {row["member"]: row for row in usual.of(generation - 1)}
        for row in usual.of(generation):
            for each in SEARCH.space if row["parent"] != row["member"] else ():
                size = abs(math.log(row[each.name] / before[row["parent"]][each.name]))
                assert math.log1p(0.0019 * each.weight) < size < math.log1p(each.weight) * 1.0001
                found.append(size)
    assert len(found) == 4 * 7
    assert len(set(found)) == len(found)


def test_a_copy_goes_on_to_the_bit_as_its_parent_would_with_the_same_random_numbers():
    """Given the parent's id (and nothing perturbed), alone, a child trains as its parent does."""
    case = replace(SEARCH, space=()).having(population=3, generations=2)
    start = case.start(learning_rate=[4e-3, 1e-2, 2e-3], dropout_rate=[0.0, 0.2, 0.4])
    copied = seen(case, start)
    (row,) = [row for row in copied.of(1) if row["parent"] != row["member"]]
    child = copied.populations["start 1"].part(torch.tensor([row["member"]]))
    parent = copied.populations["end 0"].part(torch.tensor([row["parent"]]))
    other = child.copy()
    child.members = parent.members.clone()
    for state in (child, parent, other):
        epochs(case.case, state, 2)
    assert same_bits(state_tensors(child), state_tensors(parent)) == []
    # With the slot's own id it draws other numbers.
    assert not torch.equal(other.weights, parent.weights)


def test_the_archive_has_the_best_epoch_of_every_line(usual):
    """By a loop over all epochs: members replaced since included."""
    models, slots = usual.state.archive.models, usual.state.archive.slot
    assert models.members.tolist() == [0, 1, 2, 3, 4]
    generation_of = {0: 0, 1: 0, 2: 1, 3: 2}
    n_of_the_past = 0
    for row, founder in enumerate(models.members.tolist()):
        best = (math.inf, -1, -1)
        for epoch in (1, 2, 3):  # from the end of the ramps on
            scores = usual.watcher.epochs[epoch].values["valid_score"]
            for each in usual.of(generation_of[epoch]):
                if each["founder"] == founder:
                    best = min(best, (scores[each["member"]], epoch, each["member"]))
        _, epoch, slot = best
        assert (float(models.score[row]), int(models.epoch[row]), int(slots[row])) == best
        assert torch.equal(models.weights[row], usual.epochs[epoch]["weights"][slot])
        for name, value in models.hyperparameters.as_dict().items():
            assert value[row] == usual.epochs[epoch][f"own.{name}"][slot]
        n_of_the_past += epoch < 3
    assert n_of_the_past > 0
    ranked = usual.state.archive.ranked()
    of = dict(zip(models.members.tolist(), models.score.tolist(), strict=True))
    assert ranked == sorted(of, key=of.__getitem__)


@pytest.mark.parametrize("members_at_once", [1, 2, 3])
def test_groups_that_train_in_turn_make_the_same_search(usual, members_at_once):
    grouped = seen(replace(SEARCH, members_at_once=members_at_once))
    ours, theirs = search_tensors(grouped.state), search_tensors(usual.state)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-10, atol=1e-10, msg=name)
    for mine, other in zip(grouped.rows, usual.rows, strict=True):
        assert mine == {
            name: pytest.approx(value, rel=1e-10) if isinstance(value, float) else value
            for name, value in other.items()
        }


class KilledError(Exception):
    """Ends a search at once, as kill -9 does."""


def resumed_everywhere(case: SearchCase, path: Path) -> tuple[Ending, SearchState, list[dict]]:
    """Killed after every epoch and at every start of a generation, each time after a save."""
    layout = case.case.task().layout

    def save(state: SearchState) -> None:
        save_search(path, state, layout, seed=case.case.seed)

    def save_and_die(state: SearchState, *given: object) -> None:
        save(state)
        raise KilledError

    save(case.start())
    rows: list[dict] = []
    past, n_killed = Past(), 0
    while True:
        state = load_search(path, layout, CPU)
        watcher = Watcher(save_and_die, save_and_die)
        try:
            ending = case.run(state, watcher, past=past)
        except KilledError:
            n_killed += 1
            rows += watcher.rows
            last_row = watcher.epochs[-1].values if watcher.epochs else past.last_row
            past = Past(rows, last_row)
            continue
        assert n_killed == past_events(case)
        return ending, state, rows + watcher.rows


def past_events(case: SearchCase) -> int:
    """Epochs, and starts of all generations but the first."""
    schedule = case.plan().schedule
    return schedule.n_epochs + schedule.n_generations + schedule.n_rounds - 1


@pytest.mark.parametrize("name", ["usual", "halved"])
def test_a_search_killed_everywhere_ends_to_the_bit_as_the_uninterrupted_one(
    request, tmp_path, name
):
    whole: Seen = request.getfixturevalue(name)
    case = SEARCH if name == "usual" else HALVING
    ending, state, rows = resumed_everywhere(case, tmp_path / "last.safetensors")
    assert ending == whole.ending
    assert same_bits(search_tensors(state), search_tensors(whole.state)) == []
    assert (state.population.step, state.population.epoch) == (
        whole.state.population.step, whole.state.population.epoch,
    )  # fmt: skip
    assert rows == whole.rows


def stop_after(n: int) -> tuple[Watcher, Callable[[], bool]]:
    watcher = Watcher()
    return watcher, lambda: len(watcher.epochs) >= n


def test_somebody_may_stop_it_between_epochs():
    case = SEARCH.having(population=3)
    state = case.start()
    watcher, wants_stop = stop_after(1)
    assert case.run(state, watcher, wants_stop=wants_stop).kind == "interrupted"
    assert (state.population.epoch, state.generation, watcher.rows) == (1, 0, [])
    watcher, wants_stop = stop_after(1)
    # Epoch 1 ends the generation: it is closed, and the next one waits.
    assert case.run(state, watcher, wants_stop=wants_stop).kind == "interrupted"
    assert (state.population.epoch, state.generation, len(watcher.rows)) == (2, 1, 3)


def test_halving_drops_the_worse_half_and_ids_stay(halved):
    rounds = [-2, -1, 0]
    members = [[row["member"] for row in halved.of(g)] for g in rounds]
    assert members[0] == list(range(8))
    assert [len(each) for each in members] == [8, 4, 2]
    for generation, kept in zip((-2, -1), members[1:], strict=True):
        rows = halved.of(generation)
        ranked = sorted(rows, key=lambda row: row["score"])
        assert kept == sorted(row["member"] for row in ranked[: len(rows) // 2])
        assert [row["outcome"] == "kept" for row in rows] == [row["member"] in kept for row in rows]
    assert [report.members for report in halved.watcher.epochs][:2] == [
        tuple(members[0]), tuple(members[1]),
    ]  # fmt: skip
    assert {row["founder"] for row in halved.of(0)} == set(members[2])
    assert members[2] != [0, 1]  # so that ids are not places
    for row in halved.of(1):
        loser = halved.of(0)[members[2].index(row["member"])]["outcome"] == "replaced"
        (other,) = set(members[2]) - {row["member"]}
        assert row["parent"] == row["founder"] == (other if loser else row["member"])
    assert halved.state.archive.models.members.tolist() == members[2]
    assert all(row["best_epoch"] is None for row in halved.of(-2))


def test_what_survives_halving_was_not_touched(halved):
    before, after = halved.epochs[0], halved.begun[-1]
    kept = after["members"]
    for name, value in after.items():
        if name.startswith(("own.", "clock.")) or name in ("weights", "moment1", "moment2"):
            assert torch.equal(value, before[name][kept]), name


def test_a_population_of_one_trains_as_a_model_alone():
    case = SEARCH.having(population=1)
    alone = case.start().population
    one = seen(case)
    epochs(case.case, alone, 4)
    assert same_bits(state_tensors(one.state.population), state_tensors(alone)) == []
    assert [row["outcome"] for row in one.rows] == ["kept", "kept", "last"]


def test_halving_may_leave_a_single_member():
    case = HALVING.having(population=1, halving_factor=2, generations=1)
    one = seen(case)
    assert [len(one.of(g)) for g in (-1, 0)] == [2, 1]
    assert one.ending.kind == "limit"
    assert one.state.archive.ranked() == [one.of(0)[0]["member"]]


def test_it_stops_when_the_best_score_has_not_improved():
    case = SEARCH.having(population=2, generations=9, stop_generations=1, stop_tolerance=0.999)
    converged = seen(case)
    assert converged.ending == Ending(
        "converged",
        "over the last 1 generations the best score improved by no more than 0.999 of its size",
    )
    assert [row["generation"] for row in converged.rows] == [0, 0, 1, 1]
