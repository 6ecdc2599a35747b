"""Figures of a search: every shape of search draws, and shows what the history says."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from simulated_search import SimulatedSearch, simulated_search

from lfads_torch.analysis.figures.base import FigureInputs, draw_figure
from lfads_torch.analysis.figures.choose import FIGURES, choose_figure
from lfads_torch.analysis.figures.encode import as_svg
from lfads_torch.analysis.figures.loss_curves import bold_columns, chosen_epoch, member_ids, term
from lfads_torch.analysis.figures.search_look import is_logarithmic, label_of, limits_of
from lfads_torch.analysis.figures.search_scores import score_limits
from lfads_torch.analysis.figures.search_tree import slot_heights
from lfads_torch.analysis.search_history import search_history
from lfads_torch.errors import DataError

OF_A_SEARCH = [name for name in FIGURES if name.startswith("search_")]
SEARCHES = {
    "twenty": {"n_members": 20, "n_generations": 12},
    "four by three": {"n_members": 4, "n_generations": 3},
    "one member": {"n_members": 1, "n_generations": 5},
    "one of each": {"n_members": 1, "n_generations": 1},
    "halving": {"n_members": 6, "n_generations": 4, "halving_rounds": 2},
    "random, no space": {"n_members": 9, "n_generations": 1, "method": "random",
                         "has_space": False},
    "explore only": {"n_members": 5, "n_generations": 9, "method": "explore_only"},
    "most frozen": {"n_members": 6, "n_generations": 4, "freeze_rate": 0.6, "seed": 2},
}  # fmt: skip


def inputs_of(made: SimulatedSearch) -> FigureInputs:
    return FigureInputs(
        history=made.history,
        metrics=made.metrics,
        run=made.run,
        settings=made.settings,
        space=made.space,
    )


@pytest.mark.filterwarnings("error")  # a layout that collapsed is only warned of
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *itertools.product(OF_A_SEARCH, SEARCHES),
        ("loss_curves", "halving"),
        ("loss_curves", "most frozen"),
    ],
)
def test_every_search_draws_or_gives_a_reason(name, shape):
    inputs = inputs_of(simulated_search(**SEARCHES[shape], n_searched=2))
    recipe = choose_figure(name)
    reason = recipe.needs(inputs)
    if reason is None:
        draw_figure(recipe, inputs).draw_without_rendering()
    has_too_few = {"four by three", "one member", "one of each", "most frozen"}
    assert (reason is not None) == (name == "search_sensitivity" and shape in has_too_few)


@pytest.mark.parametrize("name", OF_A_SEARCH)
def test_a_run_that_is_no_search_gives_the_reason(name):
    recipe = choose_figure(name)
    assert recipe.is_of_a_search
    assert "is no search" in recipe.needs(FigureInputs(run={"status": "finished", "search": {}}))
    started = FigureInputs(run={"search": {"method": "population"}})
    assert "no generation has ended" in recipe.needs(started)
    with pytest.raises(DataError, match="no generation has ended"):
        draw_figure(recipe, started)


@pytest.mark.parametrize("name", ["search_progression", "search_sensitivity"])
def test_without_a_searched_setting_there_is_nothing_to_draw(name):
    made = simulated_search(3, 2)
    bare = [{key: value for key, value in row.items() if "." not in key} for row in made.history]
    inputs = replace(inputs_of(made), history=bare)
    assert "No hyperparameter was searched" in choose_figure(name).needs(inputs)


def test_scores_without_any_finite_one_are_refused():
    made = simulated_search(3, 2, freeze_rate=1.1)
    inputs = inputs_of(made)
    assert "finite score" in choose_figure("search_scores").needs(inputs)
    assert choose_figure("search_progression").needs(inputs) is None
    draw_figure(choose_figure("search_tree"), inputs).draw_without_rendering()


@pytest.mark.parametrize("name", OF_A_SEARCH)
def test_the_same_search_gives_the_same_picture(name):
    inputs = inputs_of(simulated_search(6, 5, n_searched=1))
    first, second = (as_svg(draw_figure(choose_figure(name), inputs)) for _ in range(2))
    assert first == second


def test_the_winner_is_drawn_through_its_ancestors():
    inputs = inputs_of(simulated_search(8, 9))
    history = search_history(inputs.history, inputs.run)
    rows = np.flatnonzero(history.winner >= 0)
    figure = draw_figure(choose_figure("search_progression"), inputs)
    for panel, name in zip(figure.axes, history.names, strict=True):
        (line,) = [each for each in panel.lines if each.get_label() == "descent of the best state"]
        expected = history.values[name][rows, history.winner[rows]]
        np.testing.assert_array_equal(line.get_ydata(), expected)
        assert panel.get_title(loc="left") == label_of(name)


def test_every_frozen_member_is_marked():
    inputs = inputs_of(simulated_search(8, 9, freeze_rate=0.2))
    history = search_history(inputs.history, inputs.run)
    assert history.is_frozen.sum() > 3
    for name in ("search_tree", "search_scores"):
        panel = draw_figure(choose_figure(name), inputs).axes[0]
        (marks,) = [each for each in panel.lines if each.get_label() == "frozen"]
        assert len(marks.get_xdata()) == history.is_frozen.sum()


def test_slots_that_halving_dropped_stand_above_the_others():
    made = simulated_search(3, 2, halving_rounds=2)
    history = search_history(made.history, made.run)
    height, is_kept = slot_heights(history), history.is_there[-1]
    np.testing.assert_array_equal(height[is_kept], [0, -1, -2])
    assert height[~is_kept].min() >= 1
    assert len(set(height)) == 12


def test_a_member_that_went_astray_does_not_set_the_scale():
    made = simulated_search(20, 4, freeze_rate=0.0)
    made.history[25]["score"] = 1e9
    low, high = score_limits(search_history(made.history, made.run), 0)
    assert high < 2
    assert low < made.run["search"]["best"]["score"]


def test_ranges_decide_how_a_hyperparameter_is_read():
    space = {
        "a.ratio": {"low": 1e-4, "high": 1.0, "first": "log_uniform"},
        "a.share": {"low": 0.01, "high": 0.7, "first": 0.5},
        "a.rate": {"low": 0.0, "high": 0.6, "first": "uniform"},
    }
    assert is_logarithmic(space, "a.ratio", [0.1])
    assert not is_logarithmic(space, "a.share", [0.1])
    assert not is_logarithmic(space, "a.rate", [0.1])
    assert not is_logarithmic(space, "a.ratio", [0.0, 0.1])
    assert is_logarithmic({}, "a.ratio", [0.1, 1.0])
    assert not is_logarithmic({}, "a.ratio", [0.2, 1.0])
    assert limits_of(space, "a.rate") == (0.0, 0.6)
    assert limits_of({"a.rate": 3}, "a.rate") is None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("training.learning_rate", "learning rate"),
        ("augmentation.coordinated_dropout_rate", "coordinated dropout"),
        ("loss.kl_input_scale", "KL input"),
        ("loss.l2_generator_scale", "L2 generator"),
        ("training.weight_decay", "weight decay"),
    ],
)
def test_names_of_hyperparameters_are_words(name, label):
    assert label_of(name) == label


def test_terms_follow_members_by_their_ids():
    metrics = [
        {"epoch": 0, "members": [7, 2, 30], "loss": [1.0, 2.0, 3.0]},
        {"epoch": 1, "members": [30, 2], "loss": [4.0, None], "messages": ["a", "b", "c", "d"]},
    ]
    assert member_ids(metrics) == [2, 7, 30]
    np.testing.assert_array_equal(term(metrics, "loss"), [[2, 1, 3], [np.nan, np.nan, 4]])
    assert member_ids([{"epoch": 0, "loss": [1.0, 2.0], "messages": ["a"] * 3}]) == [0, 1]


def test_the_bold_curve_of_a_search_changes_slots_with_the_winner():
    inputs = inputs_of(simulated_search(6, 7, halving_rounds=2))
    history = search_history(inputs.history, inputs.run)
    ids, bold = member_ids(inputs.metrics), bold_columns(inputs)
    for row, generation in enumerate(history.generations):
        spans = [each for each in inputs.history if each["generation"] == generation]
        for epoch in (spans[0]["first_epoch"], spans[0]["last_epoch"]):
            winner = history.winner[row]
            expected = ids.index(history.members[winner]) if winner >= 0 else -1
            assert bold[epoch] == expected
    best = inputs.run["search"]["best"]
    assert chosen_epoch(inputs) == (best["epoch"], ids.index(best["slot"]))
