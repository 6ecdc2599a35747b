"""A peer multiplies by 1 +- U(0, w): at w = .8 a quarter is left after ten copies.

Another one's least step shrinks with every hyperparameter that it perturbs.
"""

from __future__ import annotations

import math

import numpy as np

from lfads_torch.search.perturb import LogSymmetric
from lfads_torch.search.space import Range, published_space


class Draws:
    """Fast numbers: the rule is what is looked at."""

    def __init__(self, n_members: int) -> None:
        self.n_members, self._random = n_members, np.random.default_rng(2)

    def uniform(self, site: str, n: int) -> np.ndarray:
        return self._random.random((self.n_members, n))


def test_ten_copies_leave_the_value_where_it_was_on_average():
    of = Range(name="loss.kl_input_scale", low=1e-6, high=1e-4, keeps_limits=False)
    draws, values = Draws(10_000), np.full(10_000, 1e-5)
    for _ in range(10):
        values = LogSymmetric().perturbed(values, of, draws)
    logs = np.log(values / 1e-5)
    assert abs(logs.mean()) < 3.0 * logs.std() / math.sqrt(len(logs))
    # So that the line above can fail: the linear form's mean is -.137 per copy.
    linear = np.log(1.0 + np.random.default_rng(3).uniform(-0.8, 0.8, (10_000, 10))).sum(1)
    assert linear.mean() < -1.0 < -30.0 * logs.std() / math.sqrt(len(logs))


def test_the_least_step_is_the_same_for_every_hyperparameter_in_turn():
    draws = Draws(20_000)
    for of in published_space():
        middle = math.sqrt(max(of.low, 1e-3) * of.high)
        size = np.abs(np.log(LogSymmetric().perturbed(np.full(20_000, middle), of, draws) / middle))
        least = math.log(1.0 + 0.002 * of.weight)
        assert least * (1.0 - 1e-9) <= size.min() < least + 0.01 * of.weight
