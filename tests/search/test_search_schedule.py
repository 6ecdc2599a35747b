"""Which epochs belong to which generation: ramps in epochs and steps, rounds of halving."""

from __future__ import annotations

import pytest
import torch

from lfads_torch.loss.settings import LossSettings
from lfads_torch.search.schedule import schedule_of
from lfads_torch.search.settings import SearchSettings
from lfads_torch.training.step import ramp


def made(*, steps_per_epoch: int = 3, loss: dict | None = None, **values):
    settings = SearchSettings(generation_epochs=25, generations=4, **values)
    return schedule_of(settings, LossSettings(**(loss or {})), steps_per_epoch=steps_per_epoch)


def test_the_first_generation_lasts_until_the_ramps_end_and_25_epochs_longer():
    plan = made(loss={"kl_ramp_increase": 80, "l2_ramp_start": 10, "l2_ramp_increase": 75})
    assert plan.first_generation == 0
    assert [(plan.start(g), plan.end(g)) for g in range(4)] == [
        (0, 110), (110, 135), (135, 160), (160, 185),
    ]  # fmt: skip
    assert plan.n_epochs == 185
    assert [plan.n_members(g, 7) for g in range(3)] == [7, 7, 7]


@pytest.mark.parametrize(("start", "increase"), [(0, 0), (0, 1), (3, 0), (5, 7)])
def test_25_epochs_have_full_ramps(start, increase):
    plan = made(loss={"kl_ramp_start": start, "kl_ramp_increase": increase, "l2_ramp_increase": 0})
    ramps = ramp(torch.arange(plan.end(0)), start, increase)
    assert int((ramps == 1.0).sum()) == 25


@pytest.mark.parametrize(
    ("n_steps", "steps_per_epoch", "first_end"),
    [(500, 3, 167 + 25), (501, 3, 167 + 25), (502, 3, 168 + 25), (2, 5, 26), (0, 5, 25)],
)
def test_ramps_in_steps_end_within_an_epoch(n_steps, steps_per_epoch, first_end):
    loss = {"ramp_unit": "steps", "kl_ramp_increase": n_steps, "l2_ramp_increase": 0}
    assert made(steps_per_epoch=steps_per_epoch, loss=loss).end(0) == first_end


def test_halving_comes_first_and_is_part_of_the_first_generations_ramps():
    loss = {"kl_ramp_increase": 80, "l2_ramp_increase": 80}
    plan = made(start="halving", halving_factor=4, halving_epochs=10, loss=loss)
    assert plan.first_generation == -2
    assert [(plan.start(g), plan.end(g)) for g in (-2, -1, 0, 1)] == [
        (0, 10), (10, 20), (20, 105), (105, 130),
    ]  # fmt: skip
    assert [plan.n_members(g, 5) for g in (-2, -1, 0, 1)] == [20, 10, 5, 5]


def test_halving_beyond_the_ramps_leaves_a_whole_first_generation():
    loss = {"kl_ramp_increase": 4, "l2_ramp_increase": 4}
    plan = made(start="halving", halving_factor=8, halving_epochs=10, loss=loss)
    assert (plan.start(0), plan.end(0)) == (30, 55)


def test_without_halving_its_settings_do_nothing():
    assert made(start="all", halving_factor=16, halving_epochs=99) == made(halving_epochs=99)
