"""Forward selection against trying everything, and the loss of averaged predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, poisson

from lfads_torch.analysis.forward_selection import forward_selection, prediction_nats


def squared(target):
    return lambda mean: float(((mean - target) ** 2).mean())


def drawn(n_models: int, seed: int):
    random = np.random.default_rng(seed)
    target = random.normal(size=(3, 5, 2))
    return target, [target + random.normal(size=target.shape) for _ in range(n_models)]


@pytest.mark.parametrize("seed", range(5))
def test_every_step_takes_what_lowers_the_loss_most(seed):
    target, predictions = drawn(7, seed)
    loss = squared(target)
    found = forward_selection(predictions, loss)
    taken = [0]
    for position, value in zip(found.positions[1:], found.losses[1:], strict=True):
        tried = {
            n: loss(np.mean([predictions[k] for k in (*taken, n)], axis=0))
            for n in range(7) if n not in taken
        }  # fmt: skip
        assert position == min(tried, key=tried.get)
        assert value == pytest.approx(tried[position])
        taken.append(position)
    assert len(taken) > 1
    assert (np.diff(found.losses) < 0).all()
    left = [n for n in range(7) if n not in taken]
    beyond = [loss(np.mean([predictions[k] for k in (*taken, n)], axis=0)) for n in left]
    assert all(value >= found.losses[-1] for value in beyond)


def test_nothing_enters_that_does_not_help():
    target, (best, *_) = drawn(1, 0)
    worse = [best + 5.0, best - 7.0]
    assert forward_selection([best, *worse], squared(target)).positions == (0,)
    same = forward_selection([best, best.copy()], squared(target))
    assert same.positions == (0,)
    assert forward_selection([best], squared(target)).losses == (squared(target)(best),)


def test_a_prediction_without_a_finite_loss_never_enters():
    target, (best, other) = drawn(2, 1)
    broken = np.full_like(best, np.nan)
    found = forward_selection([best, broken, other], squared(target))
    assert found.positions == (0, 2)
    assert forward_selection([broken, best], squared(target)).positions == (0,)


def test_spikes_have_poissons_nats_and_other_units_a_gaussians():
    random = np.random.default_rng(3)
    mean = random.uniform(0.2, 3.0, (4, 6, 3))
    counts = np.concatenate(
        [random.poisson(mean[..., :2]), mean[..., 2:] + random.normal(size=(4, 6, 1))], axis=-1
    ).astype(float)
    counts[0, 1, 0] = counts[2, 3, 2] = np.nan
    is_counted = np.ones((6, 3), dtype=bool)
    is_counted[5] = False
    reference = mean + 0.1
    loss = prediction_nats(
        counts,
        is_counted=is_counted,
        is_spiking=np.array([True, True, False]),
        reference=reference,
    )
    there = np.isfinite(counts) & is_counted
    std = np.sqrt(((counts - reference)[..., 2][there[..., 2]] ** 2).mean())
    other = mean * 1.2
    with np.errstate(invalid="ignore"):
        spikes = [
            -poisson.logpmf(counts[..., :2], m[..., :2])[there[..., :2]] for m in (other, mean)
        ]
    rest = [
        -norm.logpdf(counts[..., 2], m[..., 2], std)[there[..., 2]] for m in (other, mean)
    ]  # fmt: skip
    difference = (spikes[0].sum() - spikes[1].sum() + rest[0].sum() - rest[1].sum()) / there.sum()
    assert loss(other) - loss(mean) == pytest.approx(difference)


def test_without_a_counted_entry_there_is_no_loss():
    counts = np.full((1, 2, 1), np.nan)
    loss = prediction_nats(
        counts, is_counted=np.ones((2, 1), bool), is_spiking=np.array([True]), reference=counts
    )
    assert math.isnan(loss(np.ones((1, 2, 1))))
