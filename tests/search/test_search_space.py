"""What can be searched is every number that a member has for itself; the published ranges."""

from __future__ import annotations

import pytest
import torch
from training_cases import Case

from lfads_torch.search.space import MOVABLE, drawn_everywhere, published_space, why_not
from lfads_torch.search.state import draw_first
from lfads_torch.training.hyperparameters import Hyperparameters

# Of the table in docs: range, first, weight, limits kept.
PUBLISHED = {
    "training.learning_rate": (1e-5, 5e-3, 4e-3, 0.3, True),
    "augmentation.dropout_rate": (0.0, 0.6, "uniform", 0.3, True),
    "augmentation.coordinated_dropout_rate": (0.01, 0.7, 0.5, 0.3, True),
    "loss.l2_generator_scale": (1e-4, 1.0, "log_uniform", 0.8, False),
    "loss.l2_controller_scale": (1e-4, 1.0, "log_uniform", 0.8, False),
    "loss.kl_initial_condition_scale": (1e-6, 1e-3, "log_uniform", 0.8, False),
    "loss.kl_input_scale": (1e-6, 1e-4, "log_uniform", 0.8, False),
}


def test_every_number_of_a_members_own_can_be_searched():
    assert sorted(MOVABLE.values()) == sorted(Hyperparameters.names())


def test_the_published_ranges():
    found = {
        each.name: (each.low, each.high, each.first, each.weight, each.keeps_limits)
        for each in published_space()
    }
    assert found == PUBLISHED


def test_a_model_without_a_controller_has_none_of_its_numbers():
    missing = set(PUBLISHED) - {each.name for each in published_space(has_controller=False)}
    assert missing == {"loss.l2_controller_scale", "loss.kl_input_scale"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("model.generator_size", "shape"),
        ("training.batch_size", "shape"),
        ("model.cell_clip", "limit"),
        ("loss.kl_ramp_increase", "ramps"),
        ("training.epochs", "generations"),
        ("training.plateau_factor", "learning rate"),
        ("inference.n_samples", "whole run"),
    ],
)
def test_what_cannot_move_has_its_reason(name, word):
    assert word in why_not(name)


def test_a_member_draws_its_first_values_alone():
    """In float32 too, and whoever else is there; the others' settings stay."""
    case = Case(dtype=torch.float32)
    together, alone = case.state((0, 3, 7)), case.state((7,))
    usual = together.hyperparameters.weight_decay.clone()
    for state in (together, alone):
        draw_first(state, published_space(), seed=9)
    for name, value in together.hyperparameters.as_dict().items():
        assert value.dtype == torch.float32
        assert value[2] == getattr(alone.hyperparameters, name)[0]
    drawn = together.hyperparameters
    assert drawn.learning_rate.tolist() == pytest.approx([4e-3] * 3)
    assert len(set(drawn.dropout_rate.tolist())) == 3
    assert len(set(drawn.kl_input_scale.tolist())) == 3
    assert torch.equal(drawn.weight_decay, usual)


def test_a_random_search_draws_what_a_population_begins_with():
    drawn = {each.name: each for each in drawn_everywhere(published_space())}
    assert drawn["training.learning_rate"].first == "log_uniform"
    assert drawn["augmentation.coordinated_dropout_rate"].first == "uniform"
    assert drawn["augmentation.dropout_rate"].first == "uniform"
    assert drawn["loss.kl_input_scale"].first == "log_uniform"
    assert all(each.low == drawn[each.name].low for each in published_space())
