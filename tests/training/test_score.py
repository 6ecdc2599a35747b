"""The validation score against scipy, entry by entry; and the ramps' formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from training_cases import Case, epochs

from lfads_torch.model.lfads import ModelInput, lfads
from lfads_torch.model.noise import Silence
from lfads_torch.model.weights import ModelWeights
from lfads_torch.training.score import counted_entries, trials_at_once, validation_reconstruction
from lfads_torch.training.step import ramp


def score(case: Case, state) -> list[float]:
    return validation_reconstruction(state, case.task(), case.data().valid, seed=case.seed).tolist()


@pytest.mark.parametrize("which", ["all", "encoded", "held_out"])
def test_the_score_is_the_mean_over_present_counted_entries(which):
    case = Case(missing_share=0.2).with_training(score_latent="mean", score_entries=which)
    state, task = case.state((0, 1)), case.task()
    epochs(case, state, 1)
    weights = ModelWeights.arrange(task.layout.views(state.weights), task.session_names)
    counts = case.counts()[case.n_train :]
    external = torch.as_tensor(case.external()[case.n_train :])
    with torch.no_grad():
        output = lfads(
            ModelInput(
                (torch.as_tensor(np.nan_to_num(counts))[None, :, :6].expand(2, -1, -1, -1),),
                (0,),
                external.expand(2, -1, -1, -1),
            ),
            weights, Silence(), task.model, task.sizes, kernels=task.kernels,
        )  # fmt: skip
    rates = output.parameters[0][..., 0, :].exp().numpy()
    is_encoded = np.isin(np.arange(5), case.encoded_units)
    total, n = np.zeros(2), 0
    for trial, bin_, unit in np.ndindex(*counts.shape):
        is_seen = is_encoded[unit] and bin_ < case.n_encoded_bins
        counts_here = {"all": True, "encoded": is_seen, "held_out": not is_encoded[unit]}[which]
        if counts_here and not np.isnan(counts[trial, bin_, unit]):
            mean = rates[:, trial, bin_, unit]
            total -= stats.poisson.logpmf(counts[trial, bin_, unit], mean)
            n += 1
    np.testing.assert_allclose(score(case, state), total / n, rtol=1e-10)


def test_a_sampled_score_changes_with_the_epoch_alone():
    case = Case()
    state = case.state((0, 1))
    first = score(case, state)
    state.step = 99
    assert score(case, state) == first
    state.epoch = 1
    assert all(a != b for a, b in zip(score(case, state), first, strict=True))


def test_dropout_does_not_touch_the_score():
    case = Case()
    plain, dropped = case.state((0,), dropout_rate=[0.0]), case.state((0,), dropout_rate=[0.5])
    assert score(case, plain) == score(case, dropped)


def test_nothing_to_count_gives_no_score():
    case = Case(encoded_units=(0, 1, 2, 3, 4)).with_training(score_entries="held_out")
    assert np.isnan(score(case, case.state())).all()


def test_counted_entries_are_all_of_them_split_in_two_or_three():
    task = Case().task()
    encoded, held_out = (counted_entries(task, 0, which) for which in ("encoded", "held_out"))
    assert not bool((encoded & held_out).any())
    forward = ~(encoded | held_out)
    assert forward.nonzero()[:, 0].unique().tolist() == [6]
    assert bool(counted_entries(task, 0, "all").all())


def test_memory_bounds_the_trials_at_once():
    task = Case().task()
    assert trials_at_once(task, 1, bytes_at_once=1) == 1
    one, twenty = (trials_at_once(task, p, bytes_at_once=2**24) for p in (1, 20))
    assert one // twenty == pytest.approx(20, abs=1)


@pytest.mark.parametrize(
    ("start", "increase", "expected"),
    [
        (0, 80, {0: 1 / 81, 39: 40 / 81, 80: 1.0, 500: 1.0}),
        (10, 4, {0: 0.0, 9: 0.0, 10: 0.2, 13: 0.8, 14: 1.0}),
        (0, 0, {0: 1.0, 1: 1.0}),
        (3, 0, {2: 0.0, 3: 1.0}),
    ],
)
def test_ramps(start, increase, expected):
    clock = torch.tensor(list(expected))
    assert ramp(clock, start, increase).tolist() == pytest.approx(list(expected.values()))
