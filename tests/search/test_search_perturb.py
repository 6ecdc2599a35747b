"""How copied values change: the size and the sign of a step, limits, zeros, drawing anew."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from lfads_torch.errors import SettingsError
from lfads_torch.search.draws import Draws
from lfads_torch.search.perturb import (
    LogSymmetric,
    PerturbationRule,
    changed,
    first_values,
    perturbation_rule,
)
from lfads_torch.search.settings import SearchSettings
from lfads_torch.search.space import Range

FREE = Range(name="loss.kl_input_scale", low=1e-6, high=1e-4, keeps_limits=False)
KEPT = Range(name="training.learning_rate", low=1e-5, high=5e-3, first=4e-3, weight=0.3)


@dataclass(frozen=True)
class ManyDraws:
    """One member's long row of numbers, as if of `n_members` members: fast."""

    n_members: int
    seed: int

    def uniform(self, site: str, n: int) -> np.ndarray:
        return Draws(self.seed, 0, (0,)).uniform(site, n * self.n_members).reshape(-1, n)


def factors(of: Range, value: float, n_draws: int) -> np.ndarray:
    """Logarithms of the factors of many perturbations."""
    rule, size = LogSymmetric(), 5000
    values = np.full(size, value)
    parts = [rule.perturbed(values, of, ManyDraws(size, seed)) for seed in range(n_draws // size)]
    return np.log(np.concatenate(parts) / value)


@pytest.mark.parametrize(
    ("of", "value", "n_draws"),
    [(FREE, 3e-5, 100_000), (KEPT, 3e-4, 100_000), (FREE, 1e-9, 10_000)],
    ids=["not kept", "kept", "outside of one not kept"],
)
def test_away_from_limits_nothing_drifts(of, value, n_draws):
    """A range that is not kept has no limits at all, wherever the value is."""
    found = factors(of, value, n_draws)
    assert len(found) == n_draws
    assert abs(found.mean()) < 3.0 * found.std() / math.sqrt(len(found))
    assert abs((found > 0).mean() - 0.5) < 3.0 * 0.5 / math.sqrt(len(found))
    least, most = math.log(1 + 0.002 * of.weight), math.log(1 + of.weight)
    assert np.abs(found).min() >= least * (1 - 1e-9)
    assert np.abs(found).max() <= most * (1 + 1e-9)
    for half in (found[found > 0], -found[found < 0]):
        assert stats.kstest(half, "uniform", (least, most - least)).pvalue > 0.01


def test_ten_generations_do_not_move_the_middle():
    values = np.full(5000, 2e-5)
    for seed in range(10):
        values = LogSymmetric().perturbed(values, FREE, ManyDraws(5000, seed))
    logs = np.log(values / 2e-5)
    assert abs(logs.mean()) < 3.0 * logs.std() / math.sqrt(len(logs))


def test_at_a_limit_the_step_is_drawn_until_it_leads_inside():
    """Of the usual steps those that lead inside remain, each as likely as before."""
    least, most = math.log(1 + 0.002 * 0.3), math.log(1 + 0.3)
    at_limit = factors(KEPT, KEPT.high, 20_000)
    assert at_limit.max() <= -least * (1 - 1e-9)
    assert stats.kstest(-at_limit, "uniform", (least, most - least)).pvalue > 0.01
    near = factors(KEPT, KEPT.low * 1.1, 20_000)
    assert np.exp(near.min()) * KEPT.low * 1.1 >= KEPT.low
    below = -near[near < 0]
    assert stats.kstest(below, "uniform", (least, math.log(1.1) - least)).pvalue > 0.01
    # Up: all of most - least; down: only log(1.1) - least.
    share = (math.log(1.1) - least) / (math.log(1.1) + most - 2 * least)
    assert abs((near < 0).mean() - share) < 3.0 * math.sqrt(share * (1 - share) / len(near))


def slow_perturbed(value: float, of: Range, uniform: np.ndarray) -> float:
    for k in range(99):
        size = math.log(1 + 0.002 * of.weight) + uniform[2 * k + 1] * (
            math.log(1 + of.weight) - math.log(1 + 0.002 * of.weight)
        )
        tried = value * math.exp(-size if uniform[2 * k] < 0.5 else size)
        if not of.keeps_limits or of.low <= tried <= of.high:
            return tried
    return min(max(tried, of.low), of.high)


@pytest.mark.parametrize("of", [FREE, KEPT], ids=lambda of: of.name)
@pytest.mark.parametrize("value", [1e-5, 5e-3, 4.9e-3, 1e-9, 1.0])
def test_the_rule_is_its_definition_in_loops(of, value):
    """Also from outside the range: there the last of 99 draws is clipped."""
    draws = Draws(7, 3, (0, 2, 3, 8, 33))
    uniform = draws.uniform(f"perturb.{of.name}", 198)
    found = LogSymmetric().perturbed(np.full(5, value), of, draws)
    expected = [slow_perturbed(value, of, row) for row in uniform]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_range_narrower_than_a_step_clips_at_either_limit():
    narrow = replace(KEPT, low=1e-3, high=1.0001e-3)
    found = LogSymmetric().perturbed(np.full(200, 1.00005e-3), narrow, ManyDraws(200, 0))
    assert set(found.tolist()) == {narrow.low, narrow.high}


def test_a_zero_stays_and_all_else_stays_positive():
    values = np.array([0.0, 1e-300, 0.0, 1e-12, 5.0])
    for of in (FREE, replace(KEPT, low=0.0)):
        found = LogSymmetric().perturbed(values, of, Draws(0, 0, (0, 1, 2, 3, 4)))
        assert ((found == 0.0) == (values == 0.0)).all()
        assert (found >= 0.0).all()
    above = LogSymmetric().perturbed(np.zeros(2), KEPT, Draws(0, 0, (0, 1)))
    assert above.tolist() == [0.0, 0.0]  # the lower limit is 1e-5


def test_factors_differ_between_hyperparameters_members_and_generations():
    ranges = [
        replace(FREE, name=name) for name in ("loss.kl_input_scale", "loss.l2_generator_scale")
    ]
    found = [
        float(each)
        for of in ranges
        for generation in (0, 1, 2)
        for each in LogSymmetric().perturbed(np.ones(3), of, Draws(1, generation, (0, 1, 5)))
    ]
    assert len(set(found)) == 18


def test_a_members_factor_is_the_same_in_any_company():
    together = LogSymmetric().perturbed(np.full(4, 2e-5), FREE, Draws(1, 2, (0, 1, 5, 9)))
    alone = LogSymmetric().perturbed(np.full(1, 2e-5), FREE, Draws(1, 2, (5,)))
    assert alone[0] == together[2]


def test_drawing_anew_replaces_about_its_share():
    size, probability = 20_000, 0.3
    before = np.full(size, 3e-5)
    after = changed(
        LogSymmetric(), before, FREE, ManyDraws(size, 1), resample_probability=probability
    )
    is_perturbed = np.abs(np.log(after / before)) <= math.log(1.8) * (1 + 1e-9)
    # Of those drawn anew, some land within the reach of a perturbation by chance.
    by_chance = (math.log(min(3e-5 * 1.8, 1e-4)) - math.log(3e-5 / 1.8)) / math.log(100.0)
    expected = 1.0 - probability * (1.0 - by_chance)
    assert abs(is_perturbed.mean() - expected) < 3.0 * 0.5 / math.sqrt(size)


@pytest.mark.parametrize(
    ("first", "high"),
    [("uniform", 1e-4), ("log_uniform", 1e-4), (3e-5, 1e-4), (3e-5, 7e-5)],
    ids=str,
)
def test_values_drawn_anew_come_from_the_range(first, high):
    """One first number tells nothing of the scale: it is logarithmic from two decades on."""
    of = replace(FREE, first=first, high=high)
    drawn = changed(LogSymmetric(), np.ones(5000), of, ManyDraws(5000, 2), resample_probability=1.0)
    is_uniform = first == "uniform" or (first == 3e-5 and high < 100 * FREE.low)
    low, high = (of.low, of.high) if is_uniform else (math.log(of.low), math.log(of.high))
    found = drawn if is_uniform else np.log(drawn)
    assert stats.kstest(found, "uniform", (low, high - low)).pvalue > 0.01


def test_a_zero_is_not_drawn_anew_either():
    """What is switched off stays off: it is not searched."""
    after = changed(
        LogSymmetric(), np.array([0.0, 1e-5]), FREE, Draws(0, 0, (0, 1)), resample_probability=1.0
    )
    assert after[0] == 0.0
    assert after[1] > 0.0


@pytest.mark.parametrize(
    ("first", "low", "high"), [("uniform", 0.0, 0.6), ("log_uniform", 1e-6, 1e-3)]
)
def test_first_values_are_drawn_as_the_range_says(first, low, high):
    of = Range(name="loss.kl_input_scale", low=low, high=high, first=first)
    drawn = first_values(of, ManyDraws(5000, 4))
    scale = (lambda x: x) if first == "uniform" else np.log
    bounds = (scale(low), scale(high) - scale(low))
    assert stats.kstest(scale(drawn), "uniform", bounds).pvalue > 0.01


def test_a_first_number_is_everybodys():
    assert first_values(KEPT, Draws(0, 0, (0, 4, 7))).tolist() == [4e-3] * 3


def test_settings_name_the_rule():
    assert type(perturbation_rule(SearchSettings())) is LogSymmetric


class Doubled(PerturbationRule):
    """As a user may write one; it even changes what it was given."""

    answer: object = None

    def perturbed(self, values, of, draws):
        values *= 2.0
        return values if self.answer is None else np.array(self.answer)


def test_a_rule_of_the_users_own_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "perturbation_of_a_user", sys.modules[__name__])
    rule = perturbation_rule(SearchSettings(perturbation="perturbation_of_a_user:Doubled"))
    before = np.array([0.0, 3.0])
    after = changed(rule, before, FREE, Draws(0, 0, (0, 1)), resample_probability=0.0)
    assert after.tolist() == [0.0, 6.0]
    assert before.tolist() == [0.0, 3.0]
    for where in ("log_symetric", "perturbation_of_a_user:Range", "perturbation_of_a_user:None"):
        with pytest.raises(SettingsError, match=r"^search\.perturbation: "):
            perturbation_rule(SearchSettings(perturbation=where))


@pytest.mark.parametrize(
    "answer", [[1.0], [1.0, math.nan], [1.0, math.inf], ["a", "b"], [[1.0, 2.0]]], ids=str
)
def test_an_answer_that_is_no_values_is_refused(answer):
    rule = Doubled()
    rule.answer = answer
    with pytest.raises(SettingsError, match=r"Doubled gave .*kl_input_scale; 2 finite numbers"):
        changed(rule, np.ones(2), FREE, Draws(0, 0, (0, 1)), resample_probability=0.0)
