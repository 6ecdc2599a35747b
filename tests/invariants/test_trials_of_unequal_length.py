"""Trials that end before others in their batch: nothing of them depends on what is beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_cases import Case, epochs, same_bits, state_tensors

from lfads_torch.kernels.choose import choose_kernels
from lfads_torch.loss.observations.poisson import Poisson
from lfads_torch.loss.settings import LossSettings
from lfads_torch.model.settings import ModelSettings
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.training.batches import balanced_batches
from lfads_torch.training.resident import known_of, reside
from lfads_torch.training.score import validation_reconstruction
from lfads_torch.training.step import training_step
from lfads_torch.training.streams import Streams
from lfads_torch.training.trial_ends import shortened

LOSS = LossSettings(kl_initial_condition_scale=1e-2, kl_input_scale=1e-2, kl_ramp_increase=0)
ENDS = np.array([9, 4, 7, 3, 9, 5, 4, 8, 3, 6, 9, 7, 5, 4, 8, 9])
CASE = Case(
    n_bins=9, n_encoded_bins=9, missing_share=0.1, loss=LOSS,
    model=ModelSettings(
        ic_encoder_size=3, controller_encoder_size=3, controller_size=3, generator_size=5,
        n_factors=3, n_inferred_inputs=2, initial_condition_size=3,
    ),
)  # fmt: skip
INITIAL_BINS = replace(CASE, model=replace(CASE.model, ic_bins=2))
CASES = {"whole": CASE, "initial_bins": INITIAL_BINS}
MEMBERS = (0, 5)
OWN = {"dropout_rate": [0.2, 0.0], "coordinated_dropout_rate": [0.3, 0.4]}


def ended_counts(case):
    counts = case.counts()
    counts[np.arange(case.n_bins) >= ENDS[:, None]] = np.nan
    return counts


def trials_of(case, rows, *, n_bins=None, ends=True):
    """These trials in the case's bins, in fewer (`n_bins`), or with more beyond their ends."""
    counts, external = ended_counts(case)[rows], case.external()[rows]
    n_bins = n_bins or case.n_bins
    beyond = max(n_bins - case.n_bins, 0)
    counts = np.pad(counts, ((0, 0), (0, beyond), (0, 0)), constant_values=np.nan)[:, :n_bins]
    external = np.pad(external, ((0, 0), (0, beyond), (0, 0)))[:, :n_bins]
    known = known_of(
        len(counts), device=torch.device("cpu"), dtype=case.dtype, external_inputs=external,
        rows=np.asarray(rows), n_trial_bins=ENDS[rows] if ends else None,
    )  # fmt: skip
    ic_bins = case.model.first_generated_bin
    return reside(counts, Poisson(), known=known, ic_bins=ic_bins, dtype=case.dtype)


def task_of(case, n_bins, kernels="reference"):
    task = replace(case, n_bins=n_bins, n_encoded_bins=n_bins).task()
    kernels = choose_kernels(kernels, dtype=case.dtype)
    return replace(task, kernels=kernels)


def first_step(case, rows, n_bins, *, ends=True):
    """Loss terms of the first step on these trials as one batch, and the gradient."""
    state = case.state(MEMBERS, max_gradient_norm=[1e9, 1e9], **OWN)
    trials = trials_of(case, rows, n_bins=n_bins, ends=ends)
    index = torch.arange(len(rows)).expand(2, -1)
    report = training_step(state, task_of(case, n_bins), (trials,), (index,), seed=3)
    return report.terms, state.moment1 / 0.1


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_its_trials_each_alone(name):
    """Every term, and the gradient of the reconstruction: weighted by entries, or by trials."""
    case = replace(CASES[name], loss=replace(LOSS, kl_input_scale=0.0,
                                             kl_initial_condition_scale=0.0))  # fmt: skip
    rows = [0, 1, 3, 5, 7]
    together, gradient = first_step(case, rows, 12)
    alone = [first_step(case, [row], int(ENDS[row]), ends=False) for row in rows]
    start = case.model.ic_bins
    counts = ended_counts(case)
    n_present = np.array([np.isfinite(counts[row, start:]).sum() for row in rows])
    share = torch.as_tensor(n_present / n_present.sum())
    for term in ("kl_initial_condition", "kl_inputs"):
        mean = torch.stack([getattr(terms, term) for terms, _ in alone]).mean(0)
        torch.testing.assert_close(getattr(together, term), mean, rtol=1e-10, atol=1e-12)
    weighted = [share[i] * terms.reconstruction for i, (terms, _) in enumerate(alone)]
    torch.testing.assert_close(together.reconstruction, sum(weighted), rtol=1e-10, atol=0)
    expected = sum(share[i] * each for i, (_, each) in enumerate(alone))
    l2 = "l2_controller_scale", "l2_generator_scale"
    assert all(bool((case.state().hyperparameters.as_dict()[each] > 0).all()) for each in l2)
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-9)


def test_the_sum_counts_a_trials_own_bins():
    """Nats per trial: more beyond the ends changes nothing, and one alone gives its own sum."""
    case = replace(CASE, loss=replace(LOSS, reconstruction="sum"))
    alone, _ = first_step(case, [1], 4, ends=False)
    for n_bins in (9, 12):
        ended, _ = first_step(case, [1], n_bins)
        torch.testing.assert_close(ended.reconstruction, alone.reconstruction, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kernels", ["reference", "portable", "compiled"])
def test_posteriors_and_scores_do_not_see_what_is_beyond(name, kernels):
    case = replace(CASES[name], dtype=torch.float32 if kernels == "compiled" else torch.float64)
    close = {"rtol": 1e-4, "atol": 1e-5} if kernels == "compiled" else {"rtol": 1e-9, "atol": 1e-11}
    rows = [0, 1, 3, 5, 7]
    state = case.state((5,))
    options = PosteriorOptions(n_samples=3)
    task = task_of(case, 12, kernels)
    trials = trials_of(case, rows, n_bins=12)
    (together,) = posterior_averages(state.weights, 5, task, trials, options)
    totals = []
    for place, row in enumerate(rows):
        end = int(ENDS[row])
        own_trial = trials_of(case, [row], n_bins=end, ends=False)
        own_task = task_of(case, end, kernels)
        (alone,) = posterior_averages(state.weights, 5, own_task, own_trial, options)
        n = end - case.model.ic_bins
        for signal in ("mean_counts", "factors", "input_mean", "input_std"):
            found, wanted = getattr(together, signal)[place, :n], getattr(alone, signal)[0]
            torch.testing.assert_close(found, wanted, **close)
        for signal in ("initial_condition_mean", "generator_start"):
            found, wanted = getattr(together, signal)[place], getattr(alone, signal)[0]
            torch.testing.assert_close(found, wanted, **close)
        nats = validation_reconstruction(state, own_task, (own_trial,), seed=3)
        present = float(np.isfinite(ended_counts(case)[row, case.model.ic_bins : end]).sum())
        totals.append((float(nats) * present, present))
    score = validation_reconstruction(state, task, (trials,), seed=3)
    pooled = sum(nats for nats, _ in totals) / sum(n for _, n in totals)
    assert float(score) == pytest.approx(pooled, rel=close["rtol"])


def test_members_train_as_alone_and_batches_hold_trials_of_about_one_length():
    """Their batches end at the same bins whoever trains beside them."""

    class Ended(Case):
        def trials(self, order=None):
            return trials_of(self, list(range(len(ENDS))))

    case = Ended(**{name: getattr(CASE, name) for name in CASE.__dataclass_fields__})
    both = case.state(MEMBERS, **OWN)
    epochs(case, both, 3)
    for slot, member in enumerate(MEMBERS):
        alone = case.state((member,), **{name: [each[slot]] for name, each in OWN.items()})
        epochs(case, alone, 3)
        left, right = state_tensors(both, slot), state_tensors(alone, 0)
        for key, value in left.items():
            torch.testing.assert_close(value, right[key], rtol=1e-10, atol=1e-10)
    again = case.state(MEMBERS, **OWN)
    epochs(case, again, 3)
    assert same_bits(state_tensors(again), state_tensors(both)) == []


def test_batches_are_sorted_by_length_and_every_trial_is_in_one():
    streams = Streams(1, torch.tensor([4, 2, 9]))
    ends = torch.as_tensor(ENDS)
    orders = []
    for epoch in range(4):
        batches = balanced_batches(streams, epoch, (16,), 5, n_trial_bins=(ends,))
        joined = torch.cat([index for (index,) in batches], 1)
        np.testing.assert_array_equal(joined.sort(1).values, np.tile(np.arange(16), (3, 1)))
        longest = [ends[index].max(1).values.tolist() for (index,) in batches]
        assert all(len(set(each)) == 1 for each in longest)  # the same in every member
        spread = [int(ends[index].max() - ends[index].min()) for (index,) in batches]
        assert max(spread) <= 2
        orders.append([each[0] for each in longest])
    assert len({tuple(each) for each in orders}) > 1
    trials = trials_of(CASE, [1, 3, 6])
    task, cut = shortened(CASE.task(), (trials,), (torch.tensor([[0, 1], [0, 2]]),))
    assert task.sizes.n_bins == task.sizes.n_encoded_bins == 4
    assert cut[0].counts.shape[1] == cut[0].external_inputs.shape[1] == 4
